#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// YAML text as a plain tree with line numbers. The one includer of yaml-cpp. Stricter than YAML: duplicate
// keys, tags, tabs as indentation, keys that aren't text and second documents are problems, and size, depth
// and the expansion of aliases are bounded.
namespace pondpilot::config {

inline constexpr size_t kMaxYamlBytes = 1 << 20;
inline constexpr size_t kMaxYamlDepth = 32;
inline constexpr size_t kMaxYamlNodes = 10'000;
// Text of all nodes together, aliases expanded.
inline constexpr size_t kMaxYamlExpandedBytes = 4 << 20;

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  int line = 1;                    // from 1
  std::string text;                // kScalar
  std::vector<YamlNode> items;     // kSequence
  std::vector<YamlEntry> entries;  // kMap; of duplicate keys the first
};

struct YamlEntry {
  std::string key;
  int line = 1;
  YamlNode value;
};

struct YamlProblem {
  int line = 0;         // 0: the file as a whole
  std::string key;      // dotted path, or empty
  std::string message;  // never holds a value of the file
};

struct YamlTree {
  std::optional<YamlNode>
      root;  // nullopt: not readable as YAML, `problems` says why. An empty file is a kNull root.
  std::vector<YamlProblem> problems;
};

// "a map", "a list", "text" or "no value".
std::string_view Describe(YamlNode::Kind kind);

YamlTree ParseYaml(std::string_view text);

}  // namespace pondpilot::config
