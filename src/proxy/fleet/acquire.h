#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "proxy/fleet/fleet.h"

namespace pondpilot::proxy::fleet {

// Fleet::Acquire as a coroutine. Cancelling it withdraws the caller.
boost::asio::awaitable<base::Result<WorkerLease>> AcquireWorker(std::shared_ptr<Fleet> fleet,
                                                                std::string user_id, std::string profile,
                                                                base::Clock::Steady deadline);

}  // namespace pondpilot::proxy::fleet
