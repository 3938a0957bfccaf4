#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "contract/names.h"
#include "jail/jailer/server.h"
#include "jail/privileges.h"

namespace pondpilot::jail {
namespace {

constexpr int kUsage = 2;
constexpr int kFailure = 3;

constexpr char kHelp[] =
    "pondpilot-jailer: starts the proxy's workers as sandboxed processes\n"
    "\n"
    "  pondpilot-jailer beside [OPTIONS] -- PROGRAM [ARGUMENT…]\n"
    "      stays behind with the rights that it has, while this process becomes PROGRAM, which may give them "
    "up\n"
    "  pondpilot-jailer serve [OPTIONS]\n"
    "      what stays behind; the descriptor of its socket is in PONDPILOT_JAILER_FD\n"
    "\n"
    "  --worker FILE    the worker's program; default: pondpilot-worker beside this one\n"
    "  --spill FOLDER   where workers spill to disk; default /var/lib/pondpilot/spill\n";

std::string OwnPath() {
  std::string path(4096, '\0');
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return path;
}

int Fail(const std::string& what) {
  std::cerr << "pondpilot-jailer: " << what << ": " << std::generic_category().message(errno) << "\n";
  return kFailure;
}

int Serve(SpawnerOptions options) {
  int channel = -1;
  const char* text =
      std::getenv(contract::kJailerDescriptorEnv);  // NOLINT(concurrency-mt-unsafe): one thread
  const std::string_view number = text != nullptr ? text : "";
  if (std::from_chars(number.data(), number.data() + number.size(), channel).ec != std::errc() ||
      channel < 3) {
    std::cerr << "pondpilot-jailer: " << contract::kJailerDescriptorEnv << " names no socket.\n";
    return kUsage;
  }
  (void)::setsid();
  // Ends when the proxy does, not with a terminal's Ctrl-C, which the proxy answers by stopping its workers.
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) (void)::signal(ignored, SIG_IGN);
  (void)::prctl(PR_SET_NAME, "pondpilot-jaile");
  if (const std::string failed = KeepOnlySpawningCapabilities(); !failed.empty())
    std::cerr << "pondpilot-jailer: it has rights that it can't give up: " << failed << "\n";
  ServeJailer(channel, std::move(options));
  return 0;
}

// Two processes come of this one: the older becomes the program, so that it keeps the process id that a
// container's engine looks at.
int StartBeside(const std::vector<std::string>& options, std::vector<std::string> program) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) != 0) return Fail("socketpair");
  const pid_t child = ::fork();
  if (child < 0) return Fail("fork");
  const bool jailer = child == 0;
  (void)::close(ends[jailer ? 0 : 1]);
  const std::string descriptor =
      std::string(contract::kJailerDescriptorEnv) + "=" + std::to_string(ends[jailer ? 1 : 0]);
  if (jailer) {
    // Run anew, so that nothing of the proxy's environment, its secrets above all, is in its memory.
    program = {OwnPath(), "serve"};
    program.insert(program.end(), options.begin(), options.end());
  }
  std::vector<char*> arguments;
  for (std::string& argument : program) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  std::vector<char*> environment = {const_cast<char*>(descriptor.c_str())};
  for (char** entry = environ; !jailer && *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  (void)::execvpe(program[0].c_str(), arguments.data(), environment.data());
  return Fail(program[0]);
}

int Run(const std::vector<std::string>& arguments) {
  SpawnerOptions options;
  const std::string own = OwnPath();
  options.program = own.substr(0, own.rfind('/') + 1) + "pondpilot-worker";
  options.spill_folder = "/var/lib/pondpilot/spill";
  std::vector<std::string> passed_on;
  size_t next = 1;
  for (; next < arguments.size() && arguments[next] != "--"; next += 2) {
    const std::string& name = arguments[next];
    const bool known = name == "--worker" || name == "--spill";
    if (!known || next + 1 >= arguments.size() || !arguments[next + 1].starts_with('/')) {
      std::cerr << "pondpilot-jailer: " << name << " is no option, or no absolute path follows it.\n\n"
                << kHelp;
      return kUsage;
    }
    (name == "--worker" ? options.program : options.spill_folder) = arguments[next + 1];
    passed_on.insert(passed_on.end(), {name, arguments[next + 1]});
  }
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (command == "serve" && next == arguments.size()) return Serve(std::move(options));
  if (command == "beside" && next + 1 < arguments.size()) {
    return StartBeside(passed_on,
                       {arguments.begin() + static_cast<std::ptrdiff_t>(next) + 1, arguments.end()});
  }
  std::cerr << kHelp;
  return kUsage;
}

}  // namespace
}  // namespace pondpilot::jail

int main(int argc, char** argv) {
  try {
    return pondpilot::jail::Run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& failure) {
    std::cerr << "pondpilot-jailer: " << failure.what() << "\n";
    return pondpilot::jail::kFailure;
  }
}
