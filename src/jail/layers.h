#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// The layers of a worker process's isolation, in the order in which they are put on. docs/security.md says
// what each keeps out.
namespace pondpilot::jail {

enum class Layer {
  kUser,        // a user id that nothing else runs under
  kNamespaces,  // processes, IPC and host name of its own
  kMounts,      // a read-only root with nothing in it that it does not need
  kCgroup,      // memory, processor time and number of threads, held by the kernel
  kLimits,      // the same as far as limits of a process reach
  kLandlock,    // no file but what it needs, no signal and no trace to anybody else
  kSeccomp,     // no system call but those that it needs
  kPrivileges,  // no capability, and no way to get one
};

inline constexpr std::array<std::string_view, 8> kLayerNames = {
    "user", "namespaces", "mounts", "cgroup", "limits", "landlock", "seccomp", "privileges"};
inline constexpr size_t kLayerCount = kLayerNames.size();

constexpr std::string_view ToString(Layer layer) { return kLayerNames[static_cast<size_t>(layer)]; }

constexpr std::optional<Layer> LayerOf(std::string_view name) {
  for (size_t i = 0; i < kLayerCount; ++i) {
    if (kLayerNames[i] == name) return static_cast<Layer>(i);
  }
  return std::nullopt;
}

// What has become of each layer.
class Report {
 public:
  struct State {
    bool applied = false;
    std::string reason = "not tried";  // why it is not applied; when it is, what is missing of it, or nothing

    bool operator==(const State&) const = default;
  };

  State& operator[](Layer layer) { return states_[static_cast<size_t>(layer)]; }
  const State& operator[](Layer layer) const { return states_[static_cast<size_t>(layer)]; }
  void Applied(Layer layer, std::string missing = {}) { (*this)[layer] = {true, std::move(missing)}; }
  void Denied(Layer layer, std::string reason) { (*this)[layer] = {false, std::move(reason)}; }

  bool operator==(const Report&) const = default;

 private:
  std::array<State, kLayerCount> states_;
};

}  // namespace pondpilot::jail
