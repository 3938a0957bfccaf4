#include "proxy/launch/process/worker_folders.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/secret.h"
#include "contract/names.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::launch::process {
namespace {

namespace fs = std::filesystem;

constexpr char kRecord[] = "worker";
constexpr int kBacklog = 64;
constexpr size_t kNameDigits = 16;
constexpr size_t kWorkerIdDigits = 16;
constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

// A folder of this user's that nobody else can look into. One that somebody else has put there is not used.
bool MakeOwn(const fs::path& folder) {
  std::error_code error;
  fs::create_directory(folder, error);
  struct stat info{};
  return !error && ::lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
         info.st_uid == ::geteuid() && ::chmod(folder.c_str(), S_IRWXU) == 0;
}

// In a folder of somebody else's, ours could be replaced by another.
bool IsTrusted(const fs::path& folder) {
  struct stat info{};
  return ::lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
         (info.st_uid == ::geteuid() || info.st_uid == 0) && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

std::optional<uint64_t> Number(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<WorkerRecord> Read(const fs::path& folder) {
  std::ifstream file(folder / kRecord);
  std::string process;
  std::string start;
  std::string user;
  WorkerRecord record{.worker_id = folder.filename().string(), .key = {}, .user = 0, .user_digest = {}};
  if (!std::getline(file, process) || !std::getline(file, start) || !std::getline(file, user) ||
      !std::getline(file, record.user_digest)) {
    return std::nullopt;
  }
  const auto process_number = Number(process);
  const auto start_number = Number(start);
  const auto user_number = Number(user);
  if (!process_number || !start_number || !user_number) return std::nullopt;
  record.key = {*process_number, *start_number};
  record.user = *user_number;
  return record;
}

}  // namespace

base::Result<WorkerFolders> WorkerFolders::Open(const std::vector<fs::path>& roots, const std::string& name) {
  const std::string own = base::Sha256Hex(name).substr(0, kNameDigits);
  std::string tried;
  for (const fs::path& root : roots) {
    if (root.empty()) continue;
    const fs::path folder = root / own;
    tried += (tried.empty() ? "" : ", ") + root.string();
    std::error_code ignored;
    fs::create_directories(root, ignored);
    if ((folder / std::string(kWorkerIdDigits, '0') / contract::kSocketName).string().size() > kMaxSocketPath)
      continue;
    if (IsTrusted(root) && MakeOwn(folder)) return WorkerFolders(folder);
  }
  return base::Fail(
      base::ErrorCode::kFailedPrecondition,
      "There is no folder for the workers' sockets. The proxy must be able to write to one of: " + tried +
          ".");
}

std::string WorkerFolders::SocketPath(const std::string& worker_id) const {
  return (root_ / worker_id / contract::kSocketName).string();
}

base::Result<base::Descriptor> WorkerFolders::Make(const std::string& worker_id) const {
  if (MakeOwn(root_ / worker_id)) {
    base::Descriptor listening = base::ListenUnix(SocketPath(worker_id), kBacklog);
    if (listening.valid()) return listening;
    Remove(worker_id);
  }
  return base::Fail(base::ErrorCode::kUnavailable, "A worker's socket can't be made in " + root_.string() +
                                                       ". Look whether the disk is full.");
}

base::Result<void> WorkerFolders::Remember(const WorkerRecord& record) const {
  const fs::path folder = root_ / record.worker_id;
  const fs::path draft = folder / (std::string(kRecord) + ".new");
  {
    std::ofstream file(draft);
    file << record.key.process << "\n"
         << record.key.start << "\n"
         << record.user << "\n"
         << record.user_digest << "\n";
    file.flush();
    if (!file) {
      return base::Fail(base::ErrorCode::kUnavailable, "A worker can't be remembered in " + folder.string() +
                                                           ". Look whether the disk is full.");
    }
  }
  std::error_code error;
  fs::rename(draft, folder / kRecord, error);
  if (error)
    return base::Fail(base::ErrorCode::kUnavailable, "A worker can't be remembered.", error.message());
  return {};
}

void WorkerFolders::Remove(const std::string& worker_id) const {
  if (worker_id.empty() || worker_id.contains('/')) return;
  std::error_code error;
  fs::remove_all(root_ / worker_id, error);
  if (error) {
    telemetry::Log(telemetry::Level::kWarn, "The folder of a worker can't be removed",
                   {{"folder", (root_ / worker_id).string()}, {"error", error.message()}});
  }
}

std::vector<WorkerRecord> WorkerFolders::All() const {
  std::vector<WorkerRecord> records;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    if (auto record = Read(entry.path())) {
      records.push_back(std::move(*record));
    } else {
      Remove(entry.path().filename().string());
    }
  }
  return records;
}

}  // namespace pondpilot::proxy::launch::process
