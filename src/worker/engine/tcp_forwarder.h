#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pondpilot::worker::engine {

// For tests: a port of its own that leads to a server, and that can be away, be there, or fall silent.
// Refuses connections until Listen().
class TcpForwarder {
 public:
  // `host` is an IPv4 address. Port 0: nobody is behind; connections are accepted and never answered.
  TcpForwarder(std::string host, uint16_t port);
  ~TcpForwarder();
  TcpForwarder(const TcpForwarder&) = delete;
  TcpForwarder& operator=(const TcpForwarder&) = delete;

  uint16_t port() const { return own_port_; }
  void Listen();
  // From now on nothing is passed on and connections stay open, as when packets are dropped.
  void FallSilent();
  // Connections that the client side has ended since the start; counted also while silent.
  int EndedByClient() const;

 private:
  struct Pair {
    int client = -1;
    int server = -1;
    bool ended = false;
  };

  void Loop();
  void Accept();
  void Pump(Pair& pair, bool from_client);

  std::string host_;
  uint16_t port_ = 0;
  uint16_t own_port_ = 0;
  int listener_ = -1;
  int wake_[2] = {-1, -1};
  mutable std::mutex mutex_;
  bool stop_ = false;
  bool silent_ = false;
  int ended_by_client_ = 0;
  std::vector<Pair> pairs_;  // only the thread's
  std::thread thread_;
};

}  // namespace pondpilot::worker::engine
