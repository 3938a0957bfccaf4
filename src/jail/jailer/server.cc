#include "jail/jailer/server.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <expected>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "contract/names.h"
#include "jail/jailer/wire.h"

namespace pondpilot::jail {
namespace {

using Answer = std::expected<Message, std::string>;

constexpr char kFlightSocket[] = "flight.sock";

std::string Variable(const char* name, const std::string& value) { return std::string(name) + "=" + value; }

bool IsHex(const std::string& text) {
  return text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::optional<double> Cores(const std::string* text) {
  if (text == nullptr) return std::nullopt;
  double cores = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), cores);
  if (error != std::errc() || end != text->data() + text->size() || !(cores > 0 && cores <= 1024))
    return std::nullopt;
  return cores;
}

std::optional<Spawned> WorkerIn(const Message& request) {
  const auto process = request.Number("pid");
  const auto start = request.Number("start");
  if (!process || !start || *process > std::numeric_limits<pid_t>::max()) return std::nullopt;
  return Spawned{.process = static_cast<pid_t>(*process), .start = *start};
}

// The worker's environment is made here, of what is checked: the proxy has no say in what else is in it.
std::expected<WorkerRequest, std::string> ReadRequest(const Message& message,
                                                      const std::string& spill_folder) {
  const std::string* id = message.Find("id");
  const std::string* token = message.Find("token");
  const std::string* cores_text = message.Find("cores");
  const auto memory = message.Number("memory");
  const auto cores = Cores(cores_text);
  if (id == nullptr || id->contains('/') || token == nullptr || token->size() != 64 || !IsHex(*token) ||
      !memory || !cores) {
    return std::unexpected("The request for a worker is not complete.");
  }
  WorkerRequest request{.id = *id, .environment = {}, .amounts = {}, .files = message.All("file")};
  request.amounts.memory_bytes = *memory;
  request.amounts.cpu_cores = *cores;
  for (const std::string& file : request.files) {
    if (!file.starts_with('/')) return std::unexpected("A worker's files are named by absolute paths.");
  }
  const std::string spill = spill_folder + "/" + *id;
  request.environment = {Variable(contract::kWorkerIdEnv, *id),
                         Variable(contract::kWorkerTokenSha256Env, *token),
                         Variable(contract::kMemoryBytesEnv, std::to_string(*memory)),
                         Variable(contract::kCpuCoresEnv, *cores_text),
                         Variable(contract::kSpillDirEnv, spill),
                         Variable(contract::kSocketDescriptorEnv, std::to_string(kSocketDescriptor)),
                         Variable(contract::kListenEnv, "unix:" + spill + "/" + kFlightSocket),
                         "HOME=/nonexistent",
                         "LANG=C.UTF-8"};
  return request;
}

// Nothing when there is to be none.
void AddZygote(Message& message, const char* name, const Spawner& spawner) {
  if (std::string state = spawner.ZygoteState(); !state.empty()) message.Add(name, std::move(state));
}

Answer Hello(Spawner& spawner, const Message& request) {
  if (::access(spawner.options().program.c_str(), X_OK) != 0) {
    return std::unexpected(
        "The worker's program " + spawner.options().program +
        " can't be run: " + std::generic_category().message(errno) +
        ". It is in the image ghcr.io/pondpilot/proxy; elsewhere it must stand beside the jailer's.");
  }
  if (request.Number("zygote") == 1) spawner.UseZygote();
  Message answer{"ok", {}};
  answer.Add("report", Encode(spawner.report())).Add("program", spawner.options().program);
  AddZygote(answer, "zygote", spawner);
  return answer;
}

Answer Launch(Spawner& spawner, const Received& received) {
  const auto request = ReadRequest(received.message, spawner.options().spill_folder);
  if (!request) return std::unexpected(request.error());
  if (!received.descriptor.valid()) return std::unexpected("The request for a worker came without a socket.");
  const auto spawned = spawner.Launch(*request, received.descriptor.get());
  if (!spawned) return std::unexpected(spawned.error());
  return Message{"ok", {}}
      .Add("pid", static_cast<uint64_t>(spawned->process))
      .Add("start", spawned->start)
      .Add("user", spawned->user);
}

Answer Adopt(Spawner& spawner, const Message& request) {
  const std::string* id = request.Find("id");
  const auto user = request.Number("user");
  auto worker = WorkerIn(request);
  if (id == nullptr || !user || *user > std::numeric_limits<uint32_t>::max() || !worker) {
    return std::unexpected("The request to adopt a worker is not complete.");
  }
  worker->user = static_cast<uint32_t>(*user);
  if (!spawner.Adopt(*id, *worker)) return std::unexpected("There is no such worker.");
  return Message{"ok", {}};
}

Answer Signal(Spawner& spawner, const Message& request) {
  const auto worker = WorkerIn(request);
  const auto number = request.Number("number");
  if (!worker || (number != SIGTERM && number != SIGKILL))
    return std::unexpected("That is no signal for a worker.");
  if (!spawner.Signal(*worker, static_cast<int>(*number))) return std::unexpected("There is no such worker.");
  return Message{"ok", {}};
}

Answer Clear(const Spawner& spawner, const Message& request) {
  const std::string* id = request.Find("id");
  if (id == nullptr || !spawner.Clear(*id)) return std::unexpected("There is such a worker.");
  return Message{"ok", {}};
}

Answer Handle(Spawner& spawner, const Received& received) {
  const std::string& verb = received.message.verb;
  if (verb == "hello") return Hello(spawner, received.message);
  if (verb == "launch") return Launch(spawner, received);
  if (verb == "adopt") return Adopt(spawner, received.message);
  if (verb == "clear") return Clear(spawner, received.message);
  if (verb == "signal") return Signal(spawner, received.message);
  return std::unexpected("The jailer does not know that request.");
}

void Reply(int channel, const Message& request, const Answer& answer) {
  Message message = answer ? *answer : Message{"error", {}}.Add("message", answer.error());
  if (const std::string* number = request.Find("n")) message.Add("n", *number);
  (void)Send(channel, message);
}

void Tell(int channel, const Ended& ended) {
  (void)Send(channel, Message{"exited", {}}
                          .Add("pid", static_cast<uint64_t>(ended.worker.process))
                          .Add("start", ended.worker.start)
                          .Add("status", static_cast<uint64_t>(ended.status))
                          .Add("oom", ended.out_of_memory ? 1U : 0U));
}

// Milliseconds until the zygote is to be tended; -1: until something happens.
int Patience(const Spawner& spawner) {
  const auto due = spawner.zygote() != nullptr ? spawner.zygote()->due() : std::nullopt;
  if (!due) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due - Zygote::Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

}  // namespace

void ServeJailer(int channel, SpawnerOptions options) {
  auto spawner = Spawner::Open(std::move(options));
  while (true) {
    std::vector<pollfd> wait = {{channel, POLLIN, 0}};
    if (spawner) {
      for (const int descriptor : spawner->Watched()) wait.push_back({descriptor, POLLIN, 0});
    }
    if (::poll(wait.data(), wait.size(), spawner ? Patience(*spawner) : -1) < 0) continue;
    if (spawner && spawner->TendZygote()) {
      Message news{"zygote", {}};
      AddZygote(news, "state", *spawner);
      (void)Send(channel, news);
    }
    if (spawner) {
      for (const Ended& ended : spawner->Collect()) Tell(channel, ended);
    }
    if (wait[0].revents == 0) continue;
    auto received = Receive(channel);
    if (!received && received.error().empty()) return;
    if (!received) continue;
    const Answer answer = spawner ? Handle(*spawner, *received) : std::unexpected(spawner.error());
    Reply(channel, received->message, answer);
  }
}

}  // namespace pondpilot::jail
