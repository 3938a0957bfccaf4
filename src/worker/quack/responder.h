#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/quack/connection.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::quack {

// Bytes of an answer; rows stay where DuckDB has written them.
struct Part {
  Part(std::string text)  // NOLINT(google-explicit-constructor): most parts are texts
      : Part(std::make_shared<const std::string>(std::move(text))) {}
  Part(std::shared_ptr<const void> kept, std::string_view bytes_there)
      : owner(std::move(kept)), bytes(bytes_there) {}

  std::shared_ptr<const void> owner;  // nullptr: they live as long as the process
  std::string_view bytes;

 private:
  explicit Part(const std::shared_ptr<const std::string>& text) : owner(text), bytes(*text) {}
};

// Answers a client's messages.
class Responder {
 public:
  // Both must outlive it.
  Responder(session::StatementRunner& runner, Connections& connections)
      : runner_(runner), connections_(connections) {}

  // The parts of one message, to be sent one behind the other.
  using Answer = std::vector<Part>;

  // `gone`: the client has left. Errors are answers as well.
  Answer Respond(Connection& connection, std::string_view message, const session::CallWatch::Gone& gone,
                 const std::string& name);

 private:
  base::Result<Answer> Dispatch(Connection& connection, std::string_view message,
                                const session::CallWatch::Gone& gone, const std::string& name);
  // For one more statement.
  void MakeRoom(Connection& connection, const session::Caller& caller);
  base::Result<Answer> Prepare(Connection& connection, std::string_view body, session::Caller caller);
  base::Result<Answer> BeginUpload(Connection& connection, const wire::PrepareRequest& request,
                                   std::string stream, const Connection::Flag& cancelled,
                                   const session::Caller& caller);
  base::Result<Answer> Fetch(Connection& connection, std::string_view body, const session::Caller& caller);
  base::Result<Answer> FetchUpload(Connection& connection, Upload& upload, const wire::FetchRequest& request,
                                   const session::Caller& caller);
  base::Result<Answer> Append(Connection& connection, std::string_view body, const session::Caller& caller);
  base::Result<Answer> Receive(Connection& connection, std::string_view body, const session::Caller& caller);

  session::StatementRunner& runner_;
  Connections& connections_;
};

}  // namespace pondpilot::worker::quack
