#include "proxy/launch/process/jailer_client.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "contract/names.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::launch::process {
namespace {

namespace asio = boost::asio;
using base::ErrorCode;
using base::Fail;
using std::chrono::milliseconds;

// What SIGKILL ends with; also what is said of an end that nobody has seen.
constexpr int kKilled = 137;
// Where the jailer that is started here finds its socket.
constexpr int kChildDescriptor = 3;

std::unexpected<base::Error> Gone() {
  return Fail(
      ErrorCode::kUnavailable,
      "Workers can't be started: the jailer, which does that for the proxy, has ended. Restart the proxy.");
}

void LogZygote(const jail::Message& message) {
  const std::string* state = message.Find("state");
  if (state == nullptr) return;
  if (*state == "ready") {
    telemetry::Log(telemetry::Level::kInfo, "Worker processes are forked by a zygote again", {});
    return;
  }
  telemetry::Log(telemetry::Level::kWarn, "The zygote that forks worker processes is gone",
                 {{"reason", *state},
                  {"hint", "workers run their program by themselves until it is back, which is slower"}});
}

}  // namespace

// One message on its way from the reader's thread to a coroutine.
class JailerClient::Mailbox {
 public:
  explicit Mailbox(const asio::any_io_executor& executor) : channel_(executor, 1) {}

  void Put(jail::Message message) { channel_.try_send(boost::system::error_code(), std::move(message)); }
  void Close() { channel_.close(); }

  // nullopt: closed, or nothing within `timeout`. Cancelling ends the wait with an exception, as everywhere.
  asio::awaitable<std::optional<jail::Message>> Take(std::optional<milliseconds> timeout) {
    boost::system::error_code failed;
    jail::Message message;
    if (timeout) {
      message = co_await channel_.async_receive(
          asio::cancel_after(*timeout, asio::redirect_error(asio::use_awaitable, failed)));
    } else {
      message = co_await channel_.async_receive(asio::redirect_error(asio::use_awaitable, failed));
    }
    if (failed) co_return std::nullopt;
    co_return message;
  }

 private:
  asio::experimental::concurrent_channel<void(boost::system::error_code, jail::Message)> channel_;
};

JailerClient::JailerClient(base::Descriptor channel, pid_t child, std::function<void()> lost)
    : channel_(std::move(channel)), child_(child), lost_(std::move(lost)), reader_([this] { Read(); }) {}

JailerClient::~JailerClient() {
  closing_.store(true);
  (void)::shutdown(channel_.get(), SHUT_RDWR);
  reader_.join();
  if (child_ > 0) (void)::waitpid(child_, nullptr, 0);
}

base::Result<std::unique_ptr<JailerClient>> JailerClient::Connect(const JailerOptions& options) {
  const auto failure = [](const std::string& what, int error) {
    return Fail(ErrorCode::kFailedPrecondition, what + ": " + std::generic_category().message(error) + ".");
  };
  if (options.descriptor) {
    base::Descriptor channel(*options.descriptor);
    // No worker of another backend, and nothing else, may inherit it.
    if (::fcntl(channel.get(), F_SETFD, FD_CLOEXEC) != 0) {
      (void)channel.Release();
      return failure(std::string(contract::kJailerDescriptorEnv) + " names no open descriptor", errno);
    }
    return std::unique_ptr<JailerClient>(new JailerClient(std::move(channel), -1, options.lost));
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return failure("socketpair", errno);
  base::Descriptor own(ends[0]);
  const base::Descriptor theirs(ends[1]);
  std::vector<std::string> words = {options.program, "serve"};
  if (!options.worker_program.empty()) words.insert(words.end(), {"--worker", options.worker_program});
  if (!options.spill_folder.empty()) words.insert(words.end(), {"--spill", options.spill_folder});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // Nothing else: what is in the proxy's environment is none of its business.
  std::string variable = std::string(contract::kJailerDescriptorEnv) + "=" + std::to_string(kChildDescriptor);
  const std::array<char*, 2> environment{variable.data(), nullptr};

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  // From a number that isn't the wanted one already: then dup2 would leave close-on-exec on it.
  const base::Descriptor above(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, kChildDescriptor + 1));
  posix_spawn_file_actions_adddup2(&files, above.get(), kChildDescriptor);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, options.program.c_str(), &files, &attributes, arguments.data(),
                                  environment.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return failure("The program that starts worker processes, " + options.program + ", can't be run", error);
  }
  return std::unique_ptr<JailerClient>(new JailerClient(std::move(own), child, options.lost));
}

void JailerClient::Read() {
  while (true) {
    auto received = jail::Receive(channel_.get());
    if (!received && received.error().empty()) break;
    if (!received) continue;
    jail::Message& message = received->message;
    if (message.verb == "exited") {
      HandleExit(message);
      continue;
    }
    if (message.verb == "zygote") {
      LogZygote(message);
      continue;
    }
    const auto number = message.Number("n");
    // Under the lock to the end: who takes the letter takes the lock before it goes on, so that neither the
    // mailbox nor the executor behind it can go while they are in use here.
    const std::scoped_lock lock(mutex_);
    const auto request = number ? requests_.find(*number) : requests_.end();
    // Its caller has given up.
    if (request == requests_.end()) continue;
    request->second->Put(std::move(message));
    requests_.erase(request);
  }
  if (!closing_.load() && lost_) lost_();
  const std::scoped_lock lock(mutex_);
  alive_ = false;
  for (auto& [number, mailbox] : requests_) mailbox->Close();
  requests_.clear();
  // Of workers nobody will say any more how they end; they do so by their lease.
  for (auto& [worker, fate] : fates_) {
    for (const auto& mailbox : fate.waiting) mailbox->Close();
    fate.waiting.clear();
  }
}

void JailerClient::HandleExit(const jail::Message& message) {
  const auto process = message.Number("pid");
  const auto start = message.Number("start");
  const auto status = message.Number("status");
  if (!process || !start || !status) return;
  const std::scoped_lock lock(mutex_);
  // It may come before the launch has been told that there is such a worker.
  Fate& fate = fates_[{*process, *start}];
  fate.exit =
      WorkerExit{.exit_code = static_cast<int>(*status), .out_of_memory = message.Number("oom") == 1U};
  for (const auto& mailbox : fate.waiting) mailbox->Put(message);
  fate.waiting.clear();
}

asio::awaitable<base::Result<jail::Message>> JailerClient::Ask(jail::Message request, int descriptor,
                                                               milliseconds timeout) {
  // The answer and the timer that ends the wait for it must not complete at once on two threads.
  const auto strand = asio::make_strand(co_await asio::this_coro::executor);
  auto mailbox = std::make_shared<Mailbox>(strand);
  uint64_t number = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (!alive_) co_return Gone();
    number = next_number_++;
    requests_[number] = mailbox;
    request.Add("n", number);
    if (!jail::Send(channel_.get(), request, descriptor)) {
      requests_.erase(number);
      co_return Fail(ErrorCode::kFailedPrecondition, "The jailer can't be asked to " + request.verb +
                                                         ": the request is too long, or a path in it has "
                                                         "a line's end.");
    }
  }
  // Whatever ends the wait: nobody puts anything into this mailbox afterwards.
  struct Leave {
    JailerClient& client;
    const uint64_t number;
    ~Leave() {
      const std::scoped_lock lock(client.mutex_);
      client.requests_.erase(number);
    }
  };
  std::optional<jail::Message> answer;
  {
    const Leave leave{*this, number};
    answer = co_await asio::co_spawn(strand, mailbox->Take(timeout), asio::use_awaitable);
  }
  const std::scoped_lock lock(mutex_);
  if (!answer && !alive_) co_return Gone();
  if (!answer) {
    co_return Fail(ErrorCode::kDeadlineExceeded,
                   "The jailer has not answered in time to: " + request.verb + ".");
  }
  if (answer->verb != "ok") {
    const std::string* sentence = answer->Find("message");
    co_return Fail(ErrorCode::kFailedPrecondition,
                   sentence != nullptr ? *sentence : "The jailer has refused.");
  }
  co_return std::move(*answer);
}

void JailerClient::Track(ProcessKey worker) {
  const std::scoped_lock lock(mutex_);
  fates_.try_emplace(worker);
}

void JailerClient::Forget(ProcessKey worker) {
  const std::scoped_lock lock(mutex_);
  const auto fate = fates_.find(worker);
  if (fate == fates_.end()) return;
  for (const auto& mailbox : fate->second.waiting) mailbox->Close();
  fates_.erase(fate);
}

asio::awaitable<std::optional<WorkerExit>> JailerClient::AwaitExit(ProcessKey worker,
                                                                   std::optional<milliseconds> timeout) {
  const auto strand = asio::make_strand(co_await asio::this_coro::executor);
  auto mailbox = std::make_shared<Mailbox>(strand);
  {
    const std::scoped_lock lock(mutex_);
    const auto fate = fates_.find(worker);
    if (fate == fates_.end()) co_return WorkerExit{.exit_code = kKilled};
    if (fate->second.exit || !alive_) co_return fate->second.exit;
    fate->second.waiting.push_back(mailbox);
  }
  // Taken out again however the wait ends.
  struct Leave {
    JailerClient& client;
    ProcessKey worker;
    const std::shared_ptr<Mailbox>& mailbox;
    ~Leave() {
      const std::scoped_lock lock(client.mutex_);
      if (const auto fate = client.fates_.find(worker); fate != client.fates_.end()) {
        std::erase(fate->second.waiting, mailbox);
      }
    }
  } const leave{*this, worker, mailbox};
  const auto ended = co_await asio::co_spawn(strand, mailbox->Take(timeout), asio::use_awaitable);
  if (ended) {
    co_return WorkerExit{.exit_code = static_cast<int>(ended->Number("status").value_or(kKilled)),
                         .out_of_memory = ended->Number("oom") == 1U};
  }
  const std::scoped_lock lock(mutex_);
  const auto fate = fates_.find(worker);
  if (fate == fates_.end()) co_return WorkerExit{.exit_code = kKilled};
  co_return fate->second.exit;
}

bool JailerClient::alive() const {
  const std::scoped_lock lock(mutex_);
  return alive_;
}

}  // namespace pondpilot::proxy::launch::process
