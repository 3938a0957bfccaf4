#include "config/loader.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>

#include "base/text.h"
#include "config/databases.h"
#include "config/options.h"
#include "config/profiles.h"
#include "config/substitution.h"
#include "config/values.h"
#include "config/yaml_tree.h"

namespace pondpilot::config {
namespace {

using TextList = std::vector<std::string>;

constexpr size_t kMaxListElements = 100;
// The quick start prints it, so it is known to everybody.
constexpr std::string_view kExampleSecret = "your-secret-key-at-least-32-characters-long";

std::string_view LastPart(std::string_view key) { return key.substr(key.rfind('.') + 1); }

// "jwt_secret", "jwtSecret", "jwt-secret" …
bool SpeaksOfJwtSecret(std::string_view key) {
  std::string letters = base::ToLowerAscii(key);
  std::erase_if(letters, [](char c) { return c < 'a' || c > 'z'; });
  return letters.contains("jwtsecret") || letters == "jwt";
}

class Loader {
 public:
  explicit Loader(const Source& source) : source_(source) {}

  std::expected<Loaded, Problems> Run() {
    SetDefaults();
    if (source_.yaml_text) ReadYaml(*source_.yaml_text);
    ReadEnvironment();
    CheckWhole();
    if (!problems_.empty()) return std::unexpected(std::move(problems_));
    return std::move(loaded_);
  }

 private:
  std::string Place(int line, std::string_view key) const {
    std::string place = source_.file_name;
    if (line > 0) place += ":" + std::to_string(line);
    place += ": ";
    if (!key.empty()) place += std::string(key) + ": ";
    return place;
  }

  void FileProblem(int line, std::string_view key, std::string_view message) {
    file_problems_.emplace_back(line, Place(line, key) + std::string(message));
  }

  static std::string EnvironmentPlace(const Option& option) {
    return "environment: " + std::string(option.env) + ": ";
  }

  void SetDefaults() {
    for (const Option& option : Options()) {
      // What has no default is required or a list.
      if (option.default_text.empty()) continue;
      // options_test proves that each default is accepted.
      std::ignore = SetFromText(option, option.default_text, Origin::kFile, loaded_.config);
    }
  }

  void ReadYaml(const std::string& text) {
    YamlTree tree = ParseYaml(text);
    for (const YamlProblem& problem : tree.problems) FileProblem(problem.line, problem.key, problem.message);
    if (tree.root && tree.root->kind == YamlNode::Kind::kMap) {
      ReadSection(*tree.root, "");
    } else if (tree.root && tree.root->kind != YamlNode::Kind::kNull) {
      FileProblem(tree.root->line, "",
                  "found " + std::string(Describe(tree.root->kind)) + "; allowed: a map with the sections " +
                      Names(Children("")) + ".");
    }
    std::ranges::stable_sort(file_problems_, {}, &std::pair<int, std::string>::first);
    for (auto& [line, problem] : file_problems_) problems_.push_back(std::move(problem));
  }

  // The names that may stand directly under `section` ("" is the root), in the table's order.
  static std::vector<std::string> Children(std::string_view section) {
    const std::string prefix = section.empty() ? "" : std::string(section) + ".";
    std::vector<std::string> names;
    for (const Option& option : Options()) {
      if (option.key.empty() || !option.key.starts_with(prefix)) continue;
      const std::string_view rest = option.key.substr(prefix.size());
      std::string name(rest.substr(0, rest.find('.')));
      if (!std::ranges::contains(names, name)) names.push_back(std::move(name));
    }
    return names;
  }

  static std::string Names(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
    return out;
  }

  void ReadSection(const YamlNode& node, const std::string& section) {
    const std::vector<std::string> children = Children(section);
    for (const YamlEntry& entry : node.entries) {
      const std::string key = section.empty() ? entry.key : section + "." + entry.key;
      // A dot inside a key must not reach into a section.
      const bool known = std::ranges::contains(children, entry.key);
      if (const Option* option = known ? FindOption(key) : nullptr) {
        ReadOption(*option, entry.value);
      } else if (!known) {
        RefuseUnknown(entry, section, children);
      } else if (entry.value.kind == YamlNode::Kind::kMap) {
        ReadSection(entry.value, key);
      } else if (entry.value.kind != YamlNode::Kind::kNull) {
        FileProblem(entry.value.line, key,
                    "found " + std::string(Describe(entry.value.kind)) + "; allowed: a map with the keys " +
                        Names(Children(key)) + ".");
      }
    }
  }

  void RefuseUnknown(const YamlEntry& entry, const std::string& section,
                     const std::vector<std::string>& children) {
    const std::string where = section.empty() ? "at the top level" : "in " + section;
    std::string message = "unknown key " + Quote(entry.key) + " " + where;
    if (SpeaksOfJwtSecret(entry.key)) {
      message +=
          "; the secret is taken from the environment variable JWT_SECRET only. Remove it here, and make a "
          "new "
          "one if others could read this file: openssl rand -hex 32.";
    } else if (const auto suggestion = Suggest(entry.key, children)) {
      message += "; did you mean " + *suggestion + "?";
    } else {
      message += ".";
    }
    FileProblem(entry.line, "", message + " Allowed here: " + Names(children) + ".");
  }

  // One that `word` is the beginning of or that begins it ("burst" for "burst_size"), or that has its letters
  // in another order ("prot" for "port").
  static std::optional<std::string> Akin(const std::string& word, const std::vector<std::string>& names) {
    const auto sorted = [](std::string letters) {
      std::ranges::sort(letters);
      return letters;
    };
    const std::string lower = base::ToLowerAscii(word);
    for (const std::string& name : names) {
      const bool begins = lower.size() >= 3 && (name.starts_with(lower) || lower.starts_with(name));
      if (begins || sorted(name) == sorted(lower)) return name;
    }
    return std::nullopt;
  }

  // The nearest known key: a sibling, else one of that very name elsewhere, else one like it elsewhere.
  static std::optional<std::string> Suggest(const std::string& key,
                                            const std::vector<std::string>& siblings) {
    if (const auto sibling = base::Nearest(key, siblings)) return Quote(*sibling);
    std::vector<std::string> names;
    std::vector<const Option*> options;
    for (const Option& option : Options()) {
      if (option.key.empty()) continue;
      names.emplace_back(LastPart(option.key));
      options.push_back(&option);
    }
    const std::string name(LastPart(key));
    auto nearest =
        std::ranges::find_if(names, [&](const auto& other) { return base::EqualsIgnoreCase(other, name); });
    if (nearest == names.end()) {
      if (const auto sibling = Akin(key, siblings)) return Quote(*sibling);
      const auto like = base::Nearest(name, names);
      if (!like) return std::nullopt;
      nearest = std::ranges::find(names, *like);
    }
    const std::string_view full = options[static_cast<size_t>(nearest - names.begin())]->key;
    return Quote(*nearest) + " inside " + Quote(full.substr(0, full.rfind('.')));
  }

  void ReadOption(const Option& option, const YamlNode& node) {
    if (const auto* list = std::get_if<Ref<TextList>>(&option.field)) {
      ReadTextList(option, node, (*list)(loaded_.config));
      return;
    }
    if (const auto* list = std::get_if<Ref<std::vector<AttachedDatabase>>>(&option.field)) {
      DatabaseList read = ReadDatabases(node, option.key, source_.environment);
      for (const YamlProblem& problem : read.problems)
        FileProblem(problem.line, problem.key, problem.message);
      for (const YamlProblem& warning : read.warnings) {
        loaded_.warnings.push_back(Place(warning.line, warning.key) + warning.message);
      }
      (*list)(loaded_.config) = std::move(read.databases);
      return;
    }
    if (node.kind != YamlNode::Kind::kScalar) {
      FileProblem(node.line, option.key,
                  "found " + std::string(Describe(node.kind)) + "; allowed: " + Allowed(option) + "." +
                      (node.kind == YamlNode::Kind::kNull ? " Remove the line to get the default." : ""));
      return;
    }
    const auto text = SubstituteIn(option, node);
    if (!text) return;
    const auto set = SetFromText(option, *text, Origin::kFile, loaded_.config);
    if (!set) FileProblem(node.line, option.key, Found(option, node) + set.error());
  }

  // What stands in the file, as far as it may be shown.
  std::string Found(const Option& option, const YamlNode& node) const {
    if (option.secret) return "found a value that is not allowed; ";
    const auto substituted = Substitute(node.text, source_.environment);
    if (!substituted || !substituted->replaced) return "found " + Quote(node.text) + "; ";
    return "found " + Quote(node.text) + ", whose value is not allowed; ";
  }

  std::optional<std::string> SubstituteIn(const Option& option, const YamlNode& node) {
    auto substituted = Substitute(node.text, source_.environment);
    if (!substituted) {
      FileProblem(node.line, option.key, substituted.error());
      return std::nullopt;
    }
    for (const std::string& name : substituted->unset) {
      FileProblem(node.line, option.key,
                  "names ${" + name + "}, which the proxy's environment does not have. Set " + name +
                      " (with docker compose: add \"- " + name + "=${" + name +
                      "}\" under environment: of the proxy), or remove the line.");
    }
    if (!substituted->unset.empty()) return std::nullopt;
    return std::move(substituted->text);
  }

  void ReadTextList(const Option& option, const YamlNode& node, TextList& list) {
    if (node.kind == YamlNode::Kind::kNull) return;
    if (node.kind != YamlNode::Kind::kSequence || node.items.size() > kMaxListElements) {
      FileProblem(node.line, option.key,
                  node.kind == YamlNode::Kind::kSequence
                      ? "found " + std::to_string(node.items.size()) + " elements; allowed: at most " +
                            std::to_string(kMaxListElements) + "."
                      : "found " + std::string(Describe(node.kind)) + "; allowed: " + Allowed(option) +
                            ". Write it as in " + std::string(option.example) + ".");
      return;
    }
    TextList read;
    size_t index = 0;
    for (const YamlNode& item : node.items) {
      const std::string key = std::string(option.key) + "[" + std::to_string(index++) + "]";
      if (item.kind != YamlNode::Kind::kScalar) {
        FileProblem(item.line, key,
                    "found " + std::string(Describe(item.kind)) +
                        "; allowed: " + std::string(option.rule->allowed) + ".");
        continue;
      }
      const auto text = SubstituteIn(option, item);
      if (!text) continue;
      auto element = CheckElement(option, *text);
      if (!element) {
        FileProblem(item.line, key, Found(option, item) + element.error());
      } else if (!std::ranges::contains(read, *element)) {
        read.push_back(std::move(*element));
      }
    }
    list = std::move(read);
  }

  void ReadEnvironment() {
    for (const Option& option : Options()) {
      if (option.env.empty()) continue;
      const auto variable = source_.environment.find(std::string(option.env));
      // Compose hands on what is not set as an empty string.
      if (variable == source_.environment.end() || variable->second.empty()) continue;
      if (const auto* list = std::get_if<Ref<TextList>>(&option.field)) {
        ReadEnvironmentList(option, variable->second, (*list)(loaded_.config));
        continue;
      }
      const auto set = SetFromText(option, variable->second, Origin::kEnvironment, loaded_.config);
      if (!set) {
        const std::string found = option.secret
                                      ? "found " + std::to_string(variable->second.size()) + " characters; "
                                      : "found " + Quote(variable->second) + "; ";
        problems_.push_back(EnvironmentPlace(option) + found + set.error());
      }
    }
  }

  void ReadEnvironmentList(const Option& option, std::string_view text, TextList& list) {
    TextList read;
    while (!text.empty()) {
      const size_t comma = std::min(text.find(','), text.size());
      const std::string_view part = base::Trim(text.substr(0, comma));
      text.remove_prefix(std::min(comma + 1, text.size()));
      if (part.empty()) continue;
      auto element = CheckElement(option, part);
      if (!element) {
        problems_.push_back(EnvironmentPlace(option) + "found " + Quote(part) + "; " + element.error());
      } else if (!std::ranges::contains(read, *element)) {
        read.push_back(std::move(*element));
      }
      if (read.size() > kMaxListElements) {
        problems_.push_back(EnvironmentPlace(option) + "more than " + std::to_string(kMaxListElements) +
                            " elements.");
        return;
      }
    }
    list = std::move(read);
  }

  // What can be said only once all values are there.
  void CheckWhole() {
    Config& config = loaded_.config;
    const auto jwt = source_.environment.find("JWT_SECRET");
    if (jwt == source_.environment.end() || jwt->second.empty()) {
      problems_.push_back(
          std::string("environment: JWT_SECRET: ") +
          (jwt == source_.environment.end() ? "not set" : "empty") +
          "; it is required: the secret that tokens are signed with, at least 32 characters. Make one "
          "with: openssl rand -hex 32. With docker compose put it into .env (JWT_SECRET=…) and add \"- "
          "JWT_SECRET=${JWT_SECRET}\" under environment: of the proxy.");
    } else if (jwt->second == kExampleSecret) {
      loaded_.warnings.push_back(
          "environment: JWT_SECRET: this is the example of the quick start, which everybody knows; anybody "
          "can make "
          "tokens for any user. Make a secret of your own with: openssl rand -hex 32");
    }
    if (problems_.empty() && config.server.port == config.server.grpc_port) {
      problems_.push_back("server.port and server.grpc_port (PORT and GRPC_PORT): both are " +
                          std::to_string(config.server.port) + "; they must differ.");
    }
    if (problems_.empty() && (config.server.metrics_port == config.server.port ||
                              config.server.metrics_port == config.server.grpc_port)) {
      problems_.push_back("server.metrics_port (METRICS_PORT): it is " +
                          std::to_string(config.server.metrics_port) +
                          ", like server.port or server.grpc_port; they must differ.");
    }
    const uint16_t quack_port = config.server.quack_port;
    if (problems_.empty() && quack_port != 0 &&
        (quack_port == config.server.port || quack_port == config.server.grpc_port ||
         quack_port == config.server.metrics_port)) {
      problems_.push_back("server.quack_port (QUACK_PORT): " + std::to_string(quack_port) +
                          " is the port of another of the servers; it must be one of its own.");
    }
    std::set<std::string> names;
    for (const std::string& text : config.containers.profiles) {
      if (const auto profile = ParseProfile(text); profile && !names.insert(profile->name).second) {
        problems_.push_back("containers.profiles: the name " + Quote(profile->name) + " stands there twice.");
      }
    }
    // The workers' image has it built in.
    std::erase(config.duckdb.extensions, "arrow");
  }

  const Source& source_;
  Loaded loaded_;
  std::vector<std::pair<int, std::string>> file_problems_;
  Problems problems_;
};

}  // namespace

std::expected<Loaded, Problems> Load(const Source& source) { return Loader(source).Run(); }

}  // namespace pondpilot::config
