#pragma once

#include <functional>
#include <memory>
#include <string>

#include "contract/sql.pb.h"
#include "worker/documents/coder.h"

namespace pondpilot::worker::documents {

// Sends a document in pieces, coded, to a reader that may fall behind or leave.
class PieceStream {
 public:
  // `write` blocks while the reader is behind; false: it is gone.
  using Write = std::function<bool(const pondpilot::sql::v1::Piece&)>;
  PieceStream(std::unique_ptr<Coder> coder, Write write)
      : coder_(std::move(coder)), write_(std::move(write)) {}

  bool begun() const { return begun_; }

  // Sends what stands in `text` and empties it. False when nobody reads on.
  base::Result<bool> Send(std::string& text);
  // The same for the end of the document.
  base::Result<bool> SendLast(std::string& text);
  // Instead of SendLast: the document ends with an error. `text` is what the document says of it; `told` as
  // in Failure.
  void SendFailure(const base::Error& error, std::string text, bool told);

 private:
  std::unique_ptr<Coder> coder_;
  Write write_;
  bool begun_ = false;
};

}  // namespace pondpilot::worker::documents
