#pragma once

#include <string>

#include "base/hex.h"

// For tests: messages as DuckDB 1.5.5 (version 1) and DuckDB 2.0.0 (version 3) were seen to send them.
namespace pondpilot::quack::golden {

inline std::string Bytes(const char* hex) { return base::FromHex(hex).value(); }

// v1 request 1 CONNECTION_REQUEST, token tok155, versions 1..1, client_query_id 4 (48 bytes)
inline constexpr char kConnectV1[] =
    "010001030004ffff010006746f6b31353502000676312e352e3503000b6c696e75785f616d643634040001050001ffff";
// v1 reply 2 CONNECTION_RESPONSE to it, version 1 (80 bytes)
inline constexpr char kConnectedV1[] =
    "01000202002035383939313241343845433339323944343938423137433239304544383838320300ffffffffffffffffff01"
    "ffff01000676312e352e3502000b6c696e75785f616d643634030001ffff";
// v1 request 3 PREPARE_REQUEST: select 1 as a, 'x' as b (71 bytes)
inline constexpr char kPrepareV1[] =
    "0100030200203538393931324134384543333932394434393842313743323930454438383832030006ffff01001773656c65"
    "6374203120617320612c202778272061732062ffff";
// v1 reply 4 PREPARE_RESPONSE, table t(i INTEGER, s VARCHAR, d DECIMAL(10,2)), rows (1,'a',1.50)
// (2,NULL,2.25) (3,'a long string beyond twelve',NULL) (244 bytes)
inline constexpr char kPreparedV1[] =
    "0100040300ffffffffffffffffff01ffff01000364000dffff640019ffff640015650001640002c8000ac90002ffffffff02"
    "0003016901730164040001012c0164000365000364000dffff640019ffff640015650001640002c8000ac90002ffffffff66"
    "000364000066000c010000000200000003000000ffff640001650008fdffffffffffffff660003016101801b61206c6f6e67"
    "20737472696e67206265796f6e64207477656c7665ffff640001650008fbffffffffffffff6600189600000000000000e100"
    "0000000000000000000000000080ffffffffffff05008a96b9a88ab5afb08c7fdbd9d2a087bdc9969301ffff";
// v1 request 9 APPEND_REQUEST main.t, one row (9,'z',9.99)
inline constexpr char kAppendV1[] =
    "010009020020353839393132413438454333393239443439384231374332393045443838383203000affff0100046d61696e"
    "020001740300012c0164000165000364000dffff640019ffff640015650001640002c8000ac90002ffffffff660003640000"
    "66000409000000ffff640000660001017affff640000660008e703000000000000ffffffffffffffff";
// v1 reply 100 ERROR_RESPONSE, message boom (26 bytes)
inline constexpr char kErrorV1[] = "0100640300ffffffffffffffffff01ffff010004626f6f6dffff";
// v1 request 7 FETCH_REQUEST
inline constexpr char kFetchV1[] =
    "0100070200203142303239423338383636444445373239384439314245383536384145344539030006ffff0100f097bdb6c3"
    "a4c084ec0084c198d29f849591b501ffff";
// v3 request 1 CONNECTION_REQUEST, versions 3..3, client_id, heartbeat 60
inline constexpr char kConnectV3[] =
    "010001030003ffff010006746f6b32303002000676322e302e3003000b6c696e75785f616d64363404000305000306002466"
    "653661666138342d356463662d346333632d626262382d31653265623835326532643007003cffff";
// v3 reply 4 PREPARE_RESPONSE, same table and rows as message 4 (257 bytes)
inline constexpr char kPreparedV3[] =
    "0100040300ffffffffffffffffff01ffff01000364000dffff640019ffff640015650001640002c8000ac90002ffffffff02"
    "0003016901730164040001012c0164000365000364000dffff640019ffff640015650001640002c8000ac90002ffffffff66"
    "000364000066000c010000000200000003000000ffff640001650008fdffffffffffffff6b001c6c000c0100000000000000"
    "1b0000006d001c6161206c6f6e6720737472696e67206265796f6e64207477656c7665ffff640001650008fbffffffffffff"
    "ff6600189600000000000000e1000000000000000000000000000080ffffffffffff05008d9fa190c2b583be7b9081acf4ef"
    "e3d7dfae01ffff";
// v3 request 9 SEND_DATA_REQUEST, batch 1, one chunk of 5 rows (BIGINT 0..4, VARCHAR v0..v4)
inline constexpr char kSendDataV3[] =
    "0100090200204633463441323233333246314342313338453545323444383146314136393637030009ffff01002462613961"
    "636639332d623937342d346565622d613234612d353461393362316639316235020001040001ffff64000565000264000eff"
    "ff640019ffff6600026400006600280000000000000000010000000000000002000000000000000300000000000000040000"
    "0000000000ffff6400006b000a6c001402000000020000000200000002000000020000006d000a76307631763276337634ff"
    "ffffff";

// A batch of rows as version 3 fetches it (one BIGINT 300000), and what ends a result in either version.
inline constexpr char kCountV3[] =
    "0100080300ffffffffffffffffff01ffff010001030001ffff64000165000164000effff660001640000660008e0930400000000"
    "00ffffffff";
inline constexpr char kEndV3[] = "0100080300ffffffffffffffffff01ffff020002ffff";
inline constexpr char kEndV1[] = "0100080300ffffffffffffffffff01ffff0200ffffffffffffffffff01ffff";
inline constexpr char kWaitingV3[] =
    "0100040300ffffffffffffffffff01ffff0300010500d2948580d7f69687578ed7c28594e481c09d01ffff";
// The end of the request before it, behind the text: the result's id and a field of its own.
inline constexpr char kStreamedInsertTailV3[] = "0200d2948580d7f69687578ed7c28594e481c09d01030000ffff";
inline constexpr char kReceivedV3[] = "01000e0300ffffffffffffffffff01ffff0100ffffffffffffffffff01ffff";
inline constexpr char kSuccess[] = "01000a0300ffffffffffffffffff01ffffffff";

}  // namespace pondpilot::quack::golden
