#include "worker/session/call_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "worker/session/eventually.h"

namespace pondpilot::worker::session {
namespace {

TEST(CallWatch, CancelsACallWhoseCallerHasGone) {
  CallWatch watch;
  std::atomic<bool> gone{false};
  std::atomic<int> cancelled{0};
  std::atomic<int> others{0};
  std::atomic<int> asked{0};
  const CallWatch::Guard call(watch, [&] { return ++asked, gone.load(); }, [&] { ++cancelled; });
  const CallWatch::Guard other(watch, [] { return false; }, [&] { ++others; });
  EXPECT_TRUE(Eventually([&] { return asked >= 2; }));
  EXPECT_EQ(cancelled, 0);
  gone = true;
  // More than once: an interrupt that came too early is made up for.
  EXPECT_TRUE(Eventually([&] { return cancelled >= 3; }));
  EXPECT_EQ(others, 0);
}

TEST(CallWatch, OnceGoneACallStaysGone) {
  CallWatch watch;
  std::atomic<int> asked{0};
  std::atomic<int> cancelled{0};
  const CallWatch::Guard call(watch, [&] { return ++asked == 1; }, [&] { ++cancelled; });
  EXPECT_TRUE(Eventually([&] { return cancelled >= 2; }));
  EXPECT_EQ(asked, 1);
}

TEST(CallWatch, DoesNotAskForACallThatHasEnded) {
  CallWatch watch;
  std::atomic<int> asked{0};
  std::atomic<int> asked_other{0};
  auto call = std::make_unique<CallWatch::Guard>(watch, [&] { return ++asked, false; }, [] {});
  const CallWatch::Guard other(watch, [&] { return ++asked_other, false; }, [] {});
  EXPECT_TRUE(Eventually([&] { return asked > 0; }));
  call.reset();
  const int before = asked;
  const int other_before = asked_other;
  EXPECT_TRUE(Eventually([&] { return asked_other > other_before + 2; }));
  EXPECT_EQ(asked, before);
}

}  // namespace
}  // namespace pondpilot::worker::session
