#include "worker/documents/piece_stream.h"

#include <utility>

namespace pondpilot::worker::documents {

namespace proto = pondpilot::sql::v1;

namespace {
// A smaller document fits into one packet either way.
constexpr size_t kWorthCoding = 1024;
}  // namespace

base::Result<bool> PieceStream::Send(std::string& text) {
  auto coded = coder_->Code(std::exchange(text, {}), false);
  if (!coded) return std::unexpected(coded.error());
  proto::Piece piece;
  piece.set_data(std::move(*coded));
  begun_ = true;
  return write_(piece);
}

base::Result<bool> PieceStream::SendLast(std::string& text) {
  proto::Piece piece;
  piece.set_last(true);
  if (!begun_ && text.size() < kWorthCoding) {
    piece.set_uncoded(true);
    piece.set_data(std::exchange(text, {}));
  } else {
    auto coded = coder_->Code(std::exchange(text, {}), true);
    if (!coded) return std::unexpected(coded.error());
    piece.set_data(std::move(*coded));
  }
  begun_ = true;
  return write_(piece);
}

void PieceStream::SendFailure(const base::Error& error, std::string text, bool told) {
  proto::Piece piece;
  piece.set_last(true);
  piece.mutable_failure()->set_code(std::string(base::ToString(error.code)));
  piece.mutable_failure()->set_message(error.message);
  if (begun_) {
    if (auto coded = coder_->Code(std::move(text), true)) {
      piece.set_data(std::move(*coded));
      piece.mutable_failure()->set_told(told);
    }
  }
  write_(piece);
}

}  // namespace pondpilot::worker::documents
