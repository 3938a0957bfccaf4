#include "worker/control/stop_watchdog.h"

#include <signal.h>
#include <unistd.h>

namespace pondpilot::worker::control {
namespace {

volatile sig_atomic_t forced_exit_code = 0;

// Only what a signal handler may do.
void EndNow(int) {
  static constexpr char kLine[] =
      "level=error msg=\"Worker ended by force\" reason=\"a statement did not end in time\"\n";
  (void)!::write(STDOUT_FILENO, kLine, sizeof kLine - 1);
  ::_exit(forced_exit_code);
}

}  // namespace

void ForceExitAfter(std::chrono::seconds limit, int exit_code) {
  forced_exit_code = exit_code;
  struct sigaction action{};
  action.sa_handler = EndNow;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGALRM, &action, nullptr);
  ::alarm(static_cast<unsigned>(limit.count()));
}

}  // namespace pondpilot::worker::control
