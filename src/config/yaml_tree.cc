#include "config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "base/text.h"
#include "config/values.h"

namespace pondpilot::config {
namespace {

// Thrown through yaml-cpp by the handler below, caught in ParseYaml.
struct Refused {
  YamlProblem problem;
};

void Measure(const YamlNode& node, size_t& nodes, size_t& bytes) {
  ++nodes;
  bytes += node.text.size();
  for (const YamlNode& item : node.items) Measure(item, nodes, bytes);
  for (const YamlEntry& entry : node.entries) {
    bytes += entry.key.size();
    Measure(entry.value, nodes, bytes);
  }
}

class TreeBuilder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      Refuse(mark,
             "a second YAML document starts here; the file must hold one. Remove the line that is only "
             "\"---\".");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add({.kind = YamlNode::Kind::kNull, .line = Line(mark), .text = {}, .items = {}, .entries = {}}, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseTag(mark, tag);
    last_line_ = Line(mark);
    Add({.kind = YamlNode::Kind::kScalar, .line = Line(mark), .text = value, .items = {}, .entries = {}},
        anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) Refuse(mark, "an alias refers to a value that it is itself part of.");
    YamlNode copy = known->second;
    Relocate(copy, Line(mark));
    Add(std::move(copy), YAML::NullAnchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

  // Of the last text that was read whole.
  int last_line() const { return last_line_; }

  YamlTree Take() {
    return {.root = root_ ? std::move(*root_) : YamlNode{}, .problems = std::move(problems_)};
  }

 private:
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor;
    std::optional<std::pair<std::string, int>> key;  // of a map: read, its value not yet
  };

  static int Line(const YAML::Mark& mark) { return mark.line + 1; }

  // An alias is where its user wrote it, not where the anchor is.
  static void Relocate(YamlNode& node, int line) {
    node.line = line;
    for (YamlNode& item : node.items) Relocate(item, line);
    for (YamlEntry& entry : node.entries) {
      entry.line = line;
      Relocate(entry.value, line);
    }
  }

  // For messages: bounded, and keys that are no plain words are escaped.
  std::string Path() const {
    std::string path;
    for (const Frame& frame : frames_) {
      if (frame.node.kind == YamlNode::Kind::kSequence) {
        path += "[" + std::to_string(frame.node.items.size()) + "]";
      } else if (frame.key) {
        path += (path.empty() ? "" : ".") + Printable(frame.key->first, 60);
      }
      if (path.size() > 100) return path.substr(0, 100) + "…";
    }
    return path;
  }

  [[noreturn]] void Refuse(const YAML::Mark& mark, std::string message) {
    RefuseLine(Line(mark), std::move(message));
  }

  [[noreturn]] void RefuseLine(int line, std::string message) {
    throw Refused{{.line = line, .key = Path(), .message = std::move(message)}};
  }

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    // yaml-cpp's own marks for plain and quoted text.
    if (tag.empty() || tag == "?" || tag == "!") return;
    Refuse(mark, "YAML tags (words that start with \"!\") are not supported; remove the tag.");
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    RefuseTag(mark, tag);
    if (!frames_.empty() && frames_.back().node.kind == YamlNode::Kind::kMap && !frames_.back().key) {
      Refuse(mark, "a key must be text, not a map or a list.");
    }
    if (frames_.size() == kMaxYamlDepth) {
      Refuse(mark, "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels.");
    }
    frames_.push_back({.node = {.kind = kind, .line = Line(mark), .text = {}, .items = {}, .entries = {}},
                       .anchor = anchor,
                       .key = std::nullopt});
    Count(1, 0, Line(mark));
  }

  void Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    Place(std::move(frame.node), frame.anchor);
  }

  void Add(YamlNode node, YAML::anchor_t anchor) {
    size_t nodes = 0;
    size_t bytes = 0;
    Measure(node, nodes, bytes);
    Count(nodes, bytes, node.line);
    Place(std::move(node), anchor);
  }

  void Count(size_t nodes, size_t bytes, int line) {
    nodes_ += nodes;
    bytes_ += bytes;
    if (nodes_ > kMaxYamlNodes || bytes_ > kMaxYamlExpandedBytes) {
      RefuseLine(line, "more than " + std::to_string(kMaxYamlNodes) + " values or " +
                           std::to_string(kMaxYamlExpandedBytes >> 20) + " MiB of text, aliases expanded.");
    }
  }

  void Place(YamlNode node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == YamlNode::Kind::kSequence) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.key) {
      if (node.kind != YamlNode::Kind::kScalar || node.text.empty()) {
        RefuseLine(node.line, "a key must be text and not empty.");
      }
      frame.key = {std::move(node.text), node.line};
    } else {
      const std::string path = Path();
      auto [key, line] = *std::exchange(frame.key, std::nullopt);
      const auto earlier = std::ranges::find(frame.node.entries, key, &YamlEntry::key);
      if (earlier != frame.node.entries.end()) {
        problems_.push_back({.line = line,
                             .key = path,
                             .message = "the key is there twice (first in line " +
                                        std::to_string(earlier->line) + "); remove one of the two."});
        return;
      }
      // yaml-cpp places a missing value where the next token is.
      if (node.kind == YamlNode::Kind::kNull) node.line = line;
      frame.node.entries.push_back({.key = std::move(key), .line = line, .value = std::move(node)});
    }
  }

  int documents_ = 0;
  int last_line_ = 1;
  size_t nodes_ = 0;
  size_t bytes_ = 0;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  std::optional<YamlNode> root_;
  std::vector<YamlProblem> problems_;
};

YamlTree Unreadable(int line, std::string message) {
  return {.root = std::nullopt, .problems = {{.line = line, .key = {}, .message = std::move(message)}}};
}

// What can be said before YAML rules apply: size, encoding, control characters, tabs as indentation.
std::optional<YamlTree> CheckText(std::string_view text) {
  if (text.size() > kMaxYamlBytes) return Unreadable(0, "larger than 1 MiB; a configuration is a few KiB.");
  int line = 1;
  for (size_t start = 0; start < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view content = text.substr(start, end - start);
    if (!base::IsUtf8(content)) {
      return Unreadable(line, "not UTF-8 text; save the file as UTF-8.");
    }
    for (const char c : content) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r') {
        return Unreadable(line, "holds the control character " + Quote({&c, 1}) + "; remove it.");
      }
    }
    const size_t first = std::min(content.find_first_not_of(" \t\r"), content.size());
    if (first < content.size() && content[first] != '#' && content.substr(0, first).contains('\t')) {
      return Unreadable(line, "indented with a tab; YAML allows only blanks there.");
    }
    start = end + 1;
  }
  return std::nullopt;
}

}  // namespace

std::string_view Describe(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNull:
      return "no value";
    case YamlNode::Kind::kScalar:
      return "text";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "something else";
}

YamlTree ParseYaml(std::string_view text) {
  if (auto refused = CheckText(text)) return std::move(*refused);
  TreeBuilder builder;
  try {
    // yaml-cpp takes the end of the text for a closing quote, but not an end-of-document mark.
    std::istringstream stream(std::string(text) + "\n...\n");
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.Take();
  } catch (Refused& refused) {
    return {.root = std::nullopt, .problems = {std::move(refused.problem)}};
  } catch (const YAML::Exception& error) {
    if (error.msg == YAML::ErrorMsg::DOC_IN_SCALAR) {
      return Unreadable(builder.last_line(),
                        "not valid YAML: a quote that is opened in this line or after it is never closed.");
    }
    return Unreadable(error.mark.is_null() ? 0 : error.mark.line + 1,
                      "not valid YAML: " + Printable(error.msg, 100) +
                          ". Check indentation, quotes and brackets in this line and above it.");
  } catch (const std::exception& error) {
    return Unreadable(0, "not valid YAML: " + Printable(error.what(), 100) + ".");
  }
}

}  // namespace pondpilot::config
