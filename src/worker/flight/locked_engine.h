#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "worker/engine/engine.h"

namespace pondpilot::worker::flight {

// For tests: a real engine in a folder of its own, locked down, with nothing attached.
class LockedEngine {
 public:
  LockedEngine() {
    std::string folder = (std::filesystem::temp_directory_path() / "pondpilot-flight-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = folder;
    auto opened = engine::Engine::Open({512ull << 20, 2, folder_});
    if (!opened) throw std::runtime_error(opened.error().message + opened.error().detail);
    engine_ = std::move(*opened);
    const auto locked = engine_->AttachAndLockDown({}, {});
    if (!locked) throw std::runtime_error(locked.error().message + locked.error().detail);
  }
  ~LockedEngine() {
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }
  LockedEngine(const LockedEngine&) = delete;
  LockedEngine& operator=(const LockedEngine&) = delete;

  engine::Engine& operator*() const { return *engine_; }

 private:
  std::string folder_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace pondpilot::worker::flight
