#include "config/source_file.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "config/yaml_tree.h"

namespace pondpilot::config {
namespace {

std::unexpected<Problems> Refuse(const std::string& path, const std::string& message) {
  return std::unexpected(Problems{path + ": " + message});
}

std::expected<std::string, Problems> ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Refuse(path,
                  "cannot be opened: " + std::generic_category().message(errno) +
                      ". The proxy runs as an ordinary user; make the file readable for it (chmod a+r).");
  }
  // One byte more than allowed, so that a longer file is noticed.
  std::string text(kMaxYamlBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return Refuse(path, "cannot be read.");
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxYamlBytes) return Refuse(path, "larger than 1 MiB; a configuration is a few KiB.");
  return text;
}

}  // namespace

std::expected<Source, Problems> ReadSource(const std::optional<std::string>& named,
                                           std::map<std::string, std::string> environment,
                                           const std::string& default_file) {
  Source source;
  const auto variable = environment.find("PONDPILOT_CONFIG");
  std::string named_by;
  if (named) {
    source.file_name = *named;
    named_by = "--config";
  } else if (variable != environment.end() && !variable->second.empty()) {
    source.file_name = variable->second;
    named_by = "PONDPILOT_CONFIG";
  } else {
    source.file_name = default_file;
  }
  source.environment = std::move(environment);
  if (source.file_name.empty()) return Refuse("--config", "the name of the configuration file is empty.");

  std::error_code error;
  const auto status = std::filesystem::status(source.file_name, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    if (named_by.empty()) return source;
    return Refuse(source.file_name, "there is no such file (named by " + named_by + ").");
  }
  if (status.type() == std::filesystem::file_type::none) {
    return Refuse(source.file_name, "cannot be reached: " + error.message() + ".");
  }
  if (status.type() == std::filesystem::file_type::directory) {
    return Refuse(
        source.file_name,
        "this is a folder, not a file. Docker makes an empty folder of that name when ./config.yaml does not "
        "exist beside docker-compose.yml. Run docker compose down, remove the folder (rmdir config.yaml), "
        "create the file config.yaml and run docker compose up -d.");
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return Refuse(source.file_name, "this is not an ordinary file.");
  }
  auto text = ReadWhole(source.file_name);
  if (!text) return std::unexpected(std::move(text.error()));
  source.yaml_text = std::move(*text);
  return source;
}

std::map<std::string, std::string> ProcessEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text(*entry);
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace pondpilot::config
