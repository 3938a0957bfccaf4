#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "contract/sql.pb.h"

namespace pondpilot::worker::documents {

// A content coding of HTTP, piece by piece.
class Coder {
 public:
  virtual ~Coder() = default;
  // What `text` becomes. All of it can be decoded from what has been returned so far; with `last` the coding
  // ends.
  virtual base::Result<std::string> Code(std::string text, bool last) = 0;
};

base::Result<std::unique_ptr<Coder>> MakeCoder(pondpilot::sql::v1::Coding coding);

}  // namespace pondpilot::worker::documents
