#include "config/text_rules.h"

#include <algorithm>
#include <boost/url/ipv4_address.hpp>
#include <boost/url/ipv6_address.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "base/networks.h"
#include "base/text.h"
#include "config/profiles.h"
#include "jail/layers.h"

namespace pondpilot::config {
namespace {

constexpr std::string_view kAlphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

std::optional<std::string> If(bool accepted, std::string_view text) {
  return accepted ? std::optional<std::string>(text) : std::nullopt;
}

bool IsAlphanumeric(char c) { return kAlphanumeric.contains(c); }

// Starts with a letter or digit, goes on with those and `extra`.
bool IsName(std::string_view text, size_t most, std::string_view extra) {
  return !text.empty() && text.size() <= most && IsAlphanumeric(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return IsAlphanumeric(c) || extra.contains(c); });
}

bool IsPrintableWord(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::optional<std::string> AcceptListenHost(std::string_view text) {
  return If(boost::urls::parse_ipv4_address(text) || boost::urls::parse_ipv6_address(text), text);
}

std::optional<std::string> AcceptImage(std::string_view text) {
  return If(IsName(text, 512, "./:_@-"), text);
}

std::optional<std::string> AcceptDockerName(std::string_view text) {
  return If(IsName(text, 128, "_.-"), text);
}

std::optional<std::string> AcceptInstance(std::string_view text) {
  return If(text.empty() || IsName(text, 63, "_.-"), text);
}

std::optional<std::string> AcceptSocketPath(std::string_view text) {
  // sun_path holds 108 bytes with its final NUL.
  return If(text.starts_with('/') && text.size() <= 107 && !text.ends_with('/') &&
                std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }),
            text);
}

std::optional<std::string> AcceptBaseUrl(std::string_view text) {
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed || text.size() > 2048) return std::nullopt;
  const bool http =
      parsed->scheme_id() == boost::urls::scheme::http || parsed->scheme_id() == boost::urls::scheme::https;
  const bool port = !parsed->has_port() || parsed->port_number() != 0;
  if (!http || !port || parsed->encoded_host().empty() || parsed->has_userinfo() || parsed->has_query() ||
      parsed->has_fragment()) {
    return std::nullopt;
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  return std::string(text);
}

std::optional<std::string> AcceptOptionalUrl(std::string_view text) {
  return text.empty() ? std::optional<std::string>("") : AcceptBaseUrl(text);
}

std::optional<std::string> AcceptNetwork(std::string_view text) {
  return If(base::Network::Parse(text).has_value(), text);
}

std::optional<std::string> AcceptModel(std::string_view text) {
  return If(!text.empty() && text.size() <= 200 && IsPrintableWord(text), text);
}

std::optional<std::string> AcceptApiKey(std::string_view text) {
  return If(text.size() <= 1024 && IsPrintableWord(text), text);
}

std::optional<std::string> AcceptJwtSecret(std::string_view text) {
  return If(text.size() >= kMinJwtSecretBytes && text.size() <= 4096, text);
}

std::optional<std::string> AcceptOrigin(std::string_view text) {
  if (text == "*") return std::string(text);
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed || !parsed->has_authority() || text.size() > 512) return std::nullopt;
  const bool port = !parsed->has_port() || parsed->port_number() != 0;
  const bool host = !parsed->encoded_host().empty() && !parsed->encoded_host().contains('*');
  return If(port && host && parsed->encoded_path().empty() && !parsed->has_userinfo() &&
                !parsed->has_query() && !parsed->has_fragment(),
            base::ToLowerAscii(text));
}

std::optional<std::string> AcceptProfile(std::string_view text) {
  return If(ParseProfile(text).has_value(), text);
}

constexpr std::string_view kExtensions[] = {"arrow", "postgres", "mysql", "sqlite", "httpfs"};
constexpr std::string_view kLogLevels[] = {"debug", "info", "warn", "error"};
constexpr std::string_view kBackends[] = {"auto", "docker", "process"};

}  // namespace

constinit const TextRule kListenHostRule = {
    "an IPv4 or IPv6 address: 0.0.0.0 or :: for every interface, 127.0.0.1 for this machine only",
    AcceptListenHost,
    {}};
constinit const TextRule kImageRule = {
    "a Docker image such as ghcr.io/pondpilot/sqlflite:latest", AcceptImage, {}};
constinit const TextRule kDockerNameRule = {
    "a Docker network's name: a letter or digit, then letters, digits, \"_\", \".\" or \"-\"",
    AcceptDockerName,
    {}};
constinit const TextRule kInstanceRule = {
    "empty, or a letter or digit followed by up to 62 letters, digits, \"_\", \".\" or \"-\"",
    AcceptInstance,
    {}};
constinit const TextRule kSocketPathRule = {
    "an absolute path of at most 107 bytes such as /var/run/docker.sock, without unix://",
    AcceptSocketPath,
    {}};
constinit const TextRule kBaseUrlRule = {
    "an http:// or https:// URL with a host, without user, query and fragment", AcceptBaseUrl, {}};
constinit const TextRule kOptionalUrlRule = {
    "empty, or an http:// or https:// URL with a host, without user, query and fragment",
    AcceptOptionalUrl,
    {}};
constinit const TextRule kNetworkRule = {
    "an IP address or network such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32", AcceptNetwork, {}};
constinit const TextRule kModelRule = {
    "a model's name: 1 to 200 printable ASCII characters without blanks", AcceptModel, {}};
constinit const TextRule kApiKeyRule = {
    "empty (no key), or up to 1024 printable ASCII characters without blanks", AcceptApiKey, {}};
constinit const TextRule kJwtSecretRule = {
    "32 to 4096 characters. Make one with: openssl rand -hex 32", AcceptJwtSecret, {}};
constinit const TextRule kOriginRule = {
    "\"*\" for any, or an origin such as https://app.example.com: scheme, host and, if need be, port, "
    "nothing after it",
    AcceptOrigin,
    {}};
constinit const TextRule kExtensionRule = {"arrow, postgres, mysql, sqlite or httpfs", nullptr, kExtensions};
constinit const TextRule kProfileRule = {
    "NAME:MEMORY:CORES, within the bounds of memory_limit and cpu_limit, as in large:2g:2",
    AcceptProfile,
    {}};
constinit const TextRule kLogLevelRule = {"debug, info, warn or error", nullptr, kLogLevels};
constinit const TextRule kBackendRule = {"auto, docker or process", nullptr, kBackends};
constinit const TextRule kJailLayerRule = {
    "user, namespaces, mounts, cgroup, limits, landlock, seccomp or privileges", nullptr, jail::kLayerNames};

}  // namespace pondpilot::config
