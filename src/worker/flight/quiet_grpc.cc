#include "worker/flight/quiet_grpc.h"

#include <grpc/grpc.h>

#include <memory>

#include "worker/flight/quiet_event_engine.h"

// libgrpc's own, from its iomgr/timer_manager.h, which it does not install; it stops its threads with them
// before a fork. A version without them does not link.
void grpc_timer_manager_set_threading(bool threaded);
void grpc_timer_manager_tick();

namespace pondpilot::worker::flight {

void QuietGrpc() {
  grpc_event_engine::experimental::SetEventEngineFactory([] { return std::make_unique<QuietEventEngine>(); });
  // Never taken back: the end of the last use would end the timers, and the next would start the threads.
  grpc_init();
  grpc_timer_manager_set_threading(false);
}

void TickGrpcTimers() { grpc_timer_manager_tick(); }

}  // namespace pondpilot::worker::flight
