// For tests: a worker that tries what a worker must not be able to do. ATTEMPT names it, ARGUMENT is what it
// is tried on; without them the program's name says both. Its exit code is 0 when it succeeded, else the
// errno with which it was refused.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "jail/jailer/wire.h"
#include "jail/seccomp.h"
#include "jail/zygote.h"

// NOLINTBEGIN(concurrency-mt-unsafe): what is called so is called before threads start

namespace {

std::string argument;
std::string Argument() { return argument; }
long Number() { return std::strtol(Argument().c_str(), nullptr, 10); }

// What a call has returned, as an exit code.
int Outcome(long returned) { return returned >= 0 ? 0 : errno; }

int Open(const std::string& path, int flags) { return Outcome(::open(path.c_str(), flags, 0600)); }
int OpenFolder(const std::string& path) { return ::opendir(path.c_str()) != nullptr ? 0 : errno; }
std::string Proc(const char* file) { return "/proc/" + Argument() + "/" + file; }

int ConnectUnix(const std::string& path, bool abstract) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (socket < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + (abstract ? 1 : 0), path.c_str(), path.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return Outcome(::connect(socket, reinterpret_cast<const sockaddr*>(&address), length));
}

int Bind(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  if (socket < 0) return errno;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return Outcome(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

int Map(int protection, int flags) {
  return ::mmap(nullptr, 4096, protection, flags, -1, 0) == MAP_FAILED ? errno : 0;
}

int MakeWritableCode() {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return Outcome(::mprotect(memory, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
}

// Until that many run at once, or one can't be started.
int StartThreads(long count) {
  std::atomic<bool> over = false;
  std::vector<std::jthread> threads;
  int outcome = 0;
  try {
    for (long i = 0; i < count; ++i) threads.emplace_back([&over] { over.wait(false); });
  } catch (const std::system_error& failure) {
    outcome = failure.code().value();
  }
  over = true;
  over.notify_all();
  return outcome;
}

// Memory that is really used.
int Allocate(long bytes) {
  auto* memory = static_cast<volatile char*>(std::malloc(static_cast<size_t>(bytes)));
  if (memory == nullptr) return ENOMEM;
  for (long i = 0; i < bytes; i += 4096) memory[i] = 1;
  return 0;
}

int FillMemory() {
  while (true) {
    if (const int failed = Allocate(1 << 20); failed != 0) return failed;
  }
}

// The same in shared pages of a file, which no limit of a process counts.
int AllocateInFile(long bytes) {
  const std::string path = std::string(std::getenv("SPILL")) + "/pages";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 0 || ::ftruncate(file, bytes) != 0) return errno;
  return 0;
}

int FillPipes() {
  const std::vector<char> page(4096, 'x');
  for (int i = 0; i < 2000; ++i) {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK) != 0) return errno;
    while (::write(ends[1], page.data(), page.size()) > 0) {
    }
  }
  return 0;
}

int ManyFiles() {
  for (int i = 0; i < 100'000; ++i) {
    if (::dup(0) < 0) return errno;
  }
  return 0;
}

// How many descriptors are open above the standard ones, the socket and the hold on /proc/self.
int InheritedDescriptors() {
  int count = 0;
  for (int i = 5; i < 4096; ++i) count += ::fcntl(i, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

int Processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : -1;
}

int TakeProcessors() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int i = 0; i < 64; ++i) CPU_SET(i, &all);
  return Outcome(::sched_setaffinity(0, sizeof(all), &all));
}

int RaiseLimit() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  return Outcome(::setrlimit(RLIMIT_DATA, &unlimited));
}

int Fork() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return Outcome(child);
}

int Exec(const std::string& path) {
  char* const arguments[] = {const_cast<char*>(path.c_str()), nullptr};
  char* const environment[] = {nullptr};
  ::execve(path.c_str(), arguments, environment);
  return errno;
}

// Processor time that comes of a second's spinning with this many threads, in percent of a core.
int Spin(long threads) {
  rusage before{};
  rusage after{};
  ::getrusage(RUSAGE_SELF, &before);
  {
    std::vector<std::jthread> spinning;
    for (long i = 0; i < threads; ++i) {
      spinning.emplace_back([](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  ::getrusage(RUSAGE_SELF, &after);
  const auto total = [](const rusage& usage) {
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
  };
  return static_cast<int>(std::min<long>(250, (total(after) - total(before)) / 10'000));
}

// As a worker does: the signal is blocked and waited for.
int WaitForTerm(bool obey) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &term, nullptr);
  if (!obey) ::signal(SIGTERM, SIG_IGN);
  int received = 0;
  while (obey && ::sigwait(&term, &received) != 0) {
  }
  if (!obey) {
    while (true) ::pause();
  }
  return 128 + received;
}

const std::map<std::string, std::function<int()>>& Attempts() {
  static const std::map<std::string, std::function<int()>> attempts = {
      {"nothing", [] { return 0; }},
      {"exit", [] { return static_cast<int>(Number()); }},
      {"wait", [] { return WaitForTerm(true); }},
      {"wait stubbornly", [] { return WaitForTerm(false); }},
      {"crash",
       [] {
         ::abort();
         return 0;
       }},
      {"read", [] { return Open(Argument(), O_RDONLY); }},
      {"write", [] { return Open(Argument(), O_WRONLY | O_CREAT); }},
      {"list", [] { return OpenFolder(Argument()); }},
      {"make folder", [] { return Outcome(::mkdir(Argument().c_str(), 0700)); }},
      {"own fd", [] { return OpenFolder("/proc/self/fd"); }},
      {"environ", [] { return Open(Proc("environ"), O_RDONLY); }},
      {"mem", [] { return Open(Proc("mem"), O_RDWR); }},
      {"fd", [] { return OpenFolder(Proc("fd")); }},
      {"root", [] { return OpenFolder(Proc("root")); }},
      {"signal", [] { return Outcome(::kill(static_cast<pid_t>(Number()), 0)); }},
      {"ptrace",
       [] { return Outcome(::ptrace(PTRACE_SEIZE, static_cast<pid_t>(Number()), nullptr, nullptr)); }},
      {"pidfd", [] { return Outcome(::syscall(SYS_pidfd_open, Number(), 0)); }},
      {"connect", [] { return ConnectUnix(Argument(), false); }},
      {"connect abstract", [] { return ConnectUnix(Argument(), true); }},
      {"unix socket later",
       [] {
         if (!pondpilot::jail::GiveUpStarting().empty()) return -1;
         return Outcome(::socket(AF_UNIX, SOCK_STREAM, 0));
       }},
      {"bind", [] { return Bind(static_cast<int>(Number())); }},
      {"raw socket", [] { return Outcome(::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }},
      {"ping socket", [] { return Outcome(::socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)); }},
      {"packet socket", [] { return Outcome(::socket(AF_PACKET, SOCK_DGRAM, 0)); }},
      {"netlink socket", [] { return Outcome(::socket(AF_NETLINK, SOCK_DGRAM, 0)); }},
      {"vsock socket", [] { return Outcome(::socket(AF_VSOCK, SOCK_STREAM, 0)); }},
      {"exec", [] { return Exec(Argument()); }},
      {"exec later",
       [] {
         if (!pondpilot::jail::GiveUpStarting().empty()) return -1;
         return Exec("/proc/self/exe");
       }},
      {"fork", Fork},
      {"unshare", [] { return Outcome(::unshare(CLONE_NEWUSER)); }},
      {"mount", [] { return Outcome(::mount("none", "/mnt", "tmpfs", 0, nullptr)); }},
      {"chroot", [] { return Outcome(::chroot("/")); }},
      {"become root", [] { return Outcome(::syscall(SYS_setresuid, 0, 0, 0)); }},
      {"dumpable", [] { return Outcome(::prctl(PR_SET_DUMPABLE, 1)); }},
      {"bpf",
       [] {
         bpf_attr attributes{};
         return Outcome(::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
       }},
      {"userfaultfd", [] { return Outcome(::syscall(SYS_userfaultfd, 0)); }},
      {"io_uring", [] { return Outcome(::syscall(SYS_io_uring_setup, 1, nullptr)); }},
      {"perf", [] { return Outcome(::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0)); }},
      {"keyring", [] { return Outcome(::syscall(SYS_add_key, "user", "x", "x", 1, -3)); }},
      {"memfd", [] { return Outcome(::syscall(SYS_memfd_create, "x", 0)); }},
      {"shared memory", [] { return Outcome(::syscall(SYS_shmget, 0, 4096, 0600)); }},
      {"message queue", [] { return Outcome(::syscall(SYS_msgget, 0, 0600)); }},
      {"uncounted memory", [] { return Map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS); }},
      {"writable code", [] { return Map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS); }},
      {"code made writable", MakeWritableCode},
      {"terminal input", [] { return Outcome(::ioctl(1, TIOCSTI, "x")); }},
      {"hostname", [] { return Outcome(::sethostname("x", 1)); }},
      {"scheduler", [] { return Outcome(::syscall(SYS_sched_setattr, 0, nullptr, 0)); }},
      {"take processors", TakeProcessors},
      {"processors", Processors},
      {"raise limit", RaiseLimit},
      {"threads", [] { return StartThreads(Number()); }},
      {"allocate", [] { return Allocate(Number()); }},
      {"fill memory", FillMemory},
      {"large file", [] { return AllocateInFile(Number()); }},
      {"fill pipes", FillPipes},
      {"many files", ManyFiles},
      {"descriptors", InheritedDescriptors},
      {"spin", [] { return Spin(Number()); }},
      {"pid", [] { return static_cast<int>(::getpid()); }},
  };
  return attempts;
}

// As a zygote it is what its name says after "zygote ".
void NeverAnswer() {
  using namespace pondpilot::jail;
  (void)Send(kZygoteChannel, Message{"ready", {}});
  while (const auto request = Receive(kZygoteChannel)) {
    // The child takes whatever comes first over the line, as one of a good zygote does.
    if (::fork() == 0) {
      (void)Receive(request->descriptor.get());
      ::_exit(0);
    }
  }
}

void AnswerWith(const std::string& pid) {
  using namespace pondpilot::jail;
  (void)Send(kZygoteChannel, Message{"ready", {}});
  while (Receive(kZygoteChannel)) (void)Send(kZygoteChannel, Message{"forked", {}}.Add("pid", pid));
}

// From now on, for this process and its children, a system call ends so.
bool Spoil(uint32_t call, uint32_t outcome) {
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         pondpilot::jail::InstallFilter({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                                         BPF_STMT(BPF_RET | BPF_K, outcome),
                                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)})
             .empty();
}

// False: it has been none, or is none any more.
bool BeZygote(const std::string& program, char** arguments) {
  if (!pondpilot::jail::BeginZygote()) return false;
  const auto is = [&](const char* name) { return program.ends_with(std::string("zygote ") + name); };
  constexpr char kAnswers[] = "zygote that answers ";
  if (is("that never answers")) {
    NeverAnswer();
    return false;
  }
  if (const size_t at = program.find(kAnswers); at != std::string::npos) {
    AnswerWith(program.substr(at + std::strlen(kAnswers)));
    return false;
  }
  // Its children need that call to enter their jail; it does not.
  if (is("whose children fail") && !Spoil(SYS_close_range, SECCOMP_RET_ERRNO | EPERM)) return false;
  if (is("whose children die") && !Spoil(SYS_close_range, SECCOMP_RET_KILL_PROCESS)) return false;
  std::jthread another;
  if (is("with a thread")) {
    another = std::jthread([](const std::stop_token& stop) {
      while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    });
  }
  if (is("with a thread that ends"))
    std::thread([] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }).detach();
  return pondpilot::jail::ForkWorkers(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string program = argv[0];
  if (argc > 1 && argv[1] == pondpilot::jail::kZygoteArgument && !BeZygote(program, argv)) return 0;
  const char* name = std::getenv("ATTEMPT");
  const char* on = std::getenv("ARGUMENT");
  if (on != nullptr) argument = on;
  std::string attempt = name != nullptr ? name : "";
  if (name == nullptr) {
    // Started by a launcher, which has no way to say what is wanted but the program's name: "exit:3".
    attempt = program;
    attempt.erase(0, attempt.rfind('/') + 1);
    if (const size_t colon = attempt.find(':'); colon != std::string::npos) {
      argument = attempt.substr(colon + 1);
      attempt.erase(colon);
    }
  }
  const auto found = Attempts().find(attempt);
  return found == Attempts().end() ? 255 : found->second();
}

// NOLINTEND(concurrency-mt-unsafe)
