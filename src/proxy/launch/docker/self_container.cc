#include "proxy/launch/docker/self_container.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace pondpilot::proxy::launch::docker {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

constexpr std::chrono::seconds kInspectTimeout(10);
constexpr size_t kIdDigits = 64;
constexpr size_t kShortIdDigits = 12;

bool IsHex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

const json::object* ObjectAt(const json::value& document, std::string_view pointer) {
  boost::system::error_code error;
  const json::value* found = document.find_pointer(pointer, error);
  return found ? found->if_object() : nullptr;
}

SelfContainer FromInspect(const json::value& document) {
  SelfContainer self;
  self.id = StringAt(document, "/Id");
  self.name = StringAt(document, "/Name");
  if (self.name.starts_with("/")) self.name.erase(0, 1);
  if (const json::object* labels = ObjectAt(document, "/Config/Labels")) {
    for (const auto& label : *labels) {
      if (label.value().is_string()) self.labels[label.key()] = std::string(label.value().get_string());
    }
  }
  if (const json::object* networks = ObjectAt(document, "/NetworkSettings/Networks")) {
    for (const auto& network : *networks) self.networks.emplace_back(network.key());
  }
  boost::system::error_code error;
  const json::value* mounts = document.find_pointer("/Mounts", error);
  if (mounts && mounts->is_array()) {
    for (const json::value& mount : mounts->get_array()) {
      SelfMount one{StringAt(mount, "/Source"), StringAt(mount, "/Destination")};
      // A tmpfs has no source that a worker could share.
      if (one.source.starts_with("/") && one.destination.starts_with("/"))
        self.mounts.push_back(std::move(one));
    }
  }
  return self;
}

}  // namespace

HostFacts ReadHostFacts() {
  HostFacts facts;
  std::ifstream file("/proc/self/mountinfo");
  facts.mountinfo.assign(std::istreambuf_iterator<char>(file), {});
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0) facts.hostname = name.data();
  facts.is_file = [](const std::string& path) {
    std::error_code error;
    return std::filesystem::is_regular_file(path, error);
  };
  return facts;
}

std::optional<std::string> ContainerIdIn(std::string_view mountinfo) {
  static constexpr std::string_view kFolder = "/containers/";
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    // "id parent major:minor root mountpoint options …"
    std::istringstream fields(line);
    std::string skipped;
    std::string root;
    std::string mount_point;
    if (!(fields >> skipped >> skipped >> skipped >> root >> mount_point) || mount_point != "/etc/hostname")
      continue;
    const size_t folder = root.rfind(kFolder);
    if (folder == std::string::npos) continue;
    std::string id = root.substr(folder + kFolder.size(), kIdDigits);
    if (id.size() == kIdDigits && IsHex(id) &&
        root.substr(folder + kFolder.size() + kIdDigits) == "/hostname")
      return id;
  }
  return std::nullopt;
}

asio::awaitable<base::Result<std::optional<SelfContainer>>> FindSelf(const EngineClient& engine,
                                                                     const HostFacts& facts) {
  std::optional<std::string> id = ContainerIdIn(facts.mountinfo);
  // A container's own host name is the beginning of its id, unless somebody has chosen one: then it says
  // nothing.
  if (!id && facts.hostname.size() == kShortIdDigits && IsHex(facts.hostname)) id = facts.hostname;
  if (!id) co_return std::nullopt;
  const auto reply = co_await engine.Get("/containers/" + *id + "/json", kInspectTimeout);
  if (!reply) co_return std::unexpected(reply.error());
  // In a container, but of another engine.
  if (reply->status == 404) co_return std::nullopt;
  if (reply->status != 200) co_return std::unexpected(EngineError("show the proxy's own container", *reply));
  SelfContainer self = FromInspect(reply->body);
  if (!self.id.starts_with(*id)) co_return std::nullopt;
  co_return self;
}

std::optional<std::string> HostPath(const std::string& path, const std::vector<SelfMount>& mounts) {
  const SelfMount* best = nullptr;
  for (const SelfMount& mount : mounts) {
    const std::string above = mount.destination.ends_with("/") ? mount.destination : mount.destination + "/";
    const bool covers = path == mount.destination || path.starts_with(above);
    if (covers && (!best || mount.destination.size() > best->destination.size())) best = &mount;
  }
  if (!best) return std::nullopt;
  std::string rest = path.substr(best->destination == "/" ? 0 : best->destination.size());
  std::string source = best->source;
  if (source.ends_with("/") && rest.starts_with("/")) source.pop_back();
  return source + rest;
}

std::vector<FileMount> MountsFor(const std::vector<std::string>& paths,
                                 const std::optional<SelfContainer>& self, const HostFacts& facts) {
  std::vector<FileMount> mounts;
  for (const std::string& path : paths) {
    if (!path.starts_with("/") || !facts.is_file(path)) continue;
    for (const char* suffix : {"", "-wal", "-shm"}) {
      const std::string file = path + suffix;
      if (!facts.is_file(file)) continue;
      const auto source = self ? HostPath(file, self->mounts) : std::optional(file);
      if (!source) continue;
      FileMount mount{*source, file};
      // The same file twice is a configuration's right; the engine refuses it.
      if (std::ranges::find(mounts, mount) == mounts.end()) mounts.push_back(std::move(mount));
    }
  }
  return mounts;
}

}  // namespace pondpilot::proxy::launch::docker
