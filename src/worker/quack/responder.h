#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/quack/connection.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::quack {

// Answers a client's messages.
class Responder {
 public:
  // Both must outlive it.
  Responder(session::StatementRunner& runner, Connections& connections)
      : runner_(runner), connections_(connections) {}

  // The parts of one message, to be sent one behind the other: rows are not copied together.
  using Answer = std::vector<std::string>;

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
