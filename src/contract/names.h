#pragma once

#include <cstdint>
#include <string_view>

// Names that the proxy and the worker must agree on, besides control.proto.
namespace pondpilot::contract {

inline constexpr uint32_t kContractVersion = 2;

// The port a worker listens on inside its container.
inline constexpr uint16_t kWorkerPort = 9090;

// Metadata that the proxy adds to every call to a worker. Whatever a client sends under the prefix is
// removed.
inline constexpr char kInternalPrefix[] = "x-pondpilot-";
// Proves to the worker that its own proxy calls. Missing or wrong: UNAUTHENTICATED.
inline constexpr char kWorkerTokenHeader[] = "x-pondpilot-worker-token";
// Names the client's session: opaque, unguessable, the same for all calls of one connection to the proxy, and
// for those that bring its cookie over another.
inline constexpr char kConnectionHeader[] = "x-pondpilot-connection";
// The cookie by which a client that keeps cookies stays in its session when its connection changes. The proxy
// gives it; the worker takes it back when the session is closed.
inline constexpr char kSessionCookie[] = "pondpilot_session";
inline constexpr char kSessionCookieAttributes[] = "; Path=/; HttpOnly";
// On GetFlightInfo: the proxy would take a whole result of at most this many bytes (decimal) in the trailer,
// as an EarlyResult of control.proto, instead of asking for it with DoGet.
inline constexpr char kEarlyResultHeader[] = "x-pondpilot-early-result";
inline constexpr char kEarlyResultTrailer[] = "x-pondpilot-early-result-bin";
inline constexpr int kMaxEarlyResultMessages = 8;
// On GetFlightInfo: milliseconds (decimal) until the client's deadline, when it has one. The worker answers
// before the statement has rows and stops it when there are none by then. Arrow's server doesn't tell it of
// gRPC's own deadline.
inline constexpr char kTimeLeftHeader[] = "x-pondpilot-time-left";
// On DoPut and DoExchange: the proxy will add one more message, with this as its app_metadata and nothing
// else, when the client has sent all of its own. To Arrow's server a call that was reset looks at first like
// one whose messages have ended; this tells the difference.
inline constexpr char kUploadEndHeader[] = "x-pondpilot-upload-end";
inline constexpr std::string_view kUploadEndMark = "pondpilot:end-of-upload";
// On DoAction with a token: what stands for the caller on calls of DuckDB's airport extension that have none.
// The worker gives it to the client as the identifier of its transaction.
inline constexpr char kCallIdentifierHeader[] = "x-pondpilot-call-identifier";
// Where the client then sends it.
inline constexpr char kAirportTransactionHeader[] = "airport-transaction-id";
// On a call that came with the identifier instead of a token: "1". It may read and write tables, no more.
inline constexpr char kByIdentifierHeader[] = "x-pondpilot-by-identifier";
// Flight has no code for some errors. Their Arrow status has this detail, followed by the code's name
// (base::ToString), and the proxy gives the client the gRPC code that belongs to it.
inline constexpr char kErrorCodeDetail[] = "pondpilot-error-code:";
// Where Arrow's Flight server sends a status's detail (arrow/flight/transport/grpc/util_internal of Arrow
// 25).
inline constexpr char kArrowDetailTrailer[] = "x-arrow-status-detail-bin";
// Names the call in the logs of both processes.
inline constexpr char kRequestIdHeader[] = "x-request-id";

// A folder in a worker's container, read-only, that its proxy can see too, and the worker's socket in it.
inline constexpr char kSocketFolder[] = "/run/pondpilot";
inline constexpr char kSocketName[] = "flight.sock";

// Environment of a worker process. The token itself is in no environment: the worker knows only its digest,
// which is of no use to whoever reads it.
inline constexpr char kWorkerTokenSha256Env[] = "PONDPILOT_WORKER_TOKEN_SHA256";  // 64 hex digits, required
inline constexpr char kWorkerIdEnv[] = "PONDPILOT_WORKER_ID";                     // for log lines, required
inline constexpr char kMemoryBytesEnv[] = "PONDPILOT_MEMORY_BYTES";  // the container's limit, required
inline constexpr char kCpuCoresEnv[] = "PONDPILOT_CPU_CORES";        // decimal, required
// A Unix socket that gives the first who connects one byte and, as SCM_RIGHTS, the socket that listens there:
// this is what the worker then accepts on, instead of a port. A worker that is given none listens on its
// port.
inline constexpr char kSocketEnv[] = "PONDPILOT_SOCKET";  // absolute path; default none
// The number of an open descriptor that is such a listening socket: what a worker process is given.
inline constexpr char kSocketDescriptorEnv[] = "PONDPILOT_SOCKET_FD";  // default none
// host:port, default 0.0.0.0:kWorkerPort, or unix: and an absolute path.
inline constexpr char kListenEnv[] = "PONDPILOT_LISTEN";
inline constexpr char kSpillDirEnv[] = "PONDPILOT_SPILL_DIR";  // default /var/lib/pondpilot/spill

// Environment of the proxy: the number of the descriptor at which it reaches the jailer that was started
// beside it, with rights that the proxy itself does not have.
inline constexpr char kJailerDescriptorEnv[] = "PONDPILOT_JAILER_FD";

// A worker that is neither assigned nor asked for its status within this many seconds ends itself.
inline constexpr int kUnassignedSeconds = 60;

}  // namespace pondpilot::contract
