#include "proxy/http/negotiation.h"

#include <gtest/gtest.h>

namespace pondpilot::proxy::http {
namespace {

const std::vector<std::string> kTypes = {"application/json", "text/csv", "application/x-ndjson"};

TEST(NegotiationTest, TheFirstOfferIsTheDefault) {
  EXPECT_EQ(ChooseMediaType("", kTypes), 0u);
  EXPECT_EQ(ChooseMediaType("*/*", kTypes), 0u);
  EXPECT_EQ(ChooseMediaType(" , ", kTypes), 0u);
}

TEST(NegotiationTest, TheQualityDecidesThenTheOrder) {
  EXPECT_EQ(ChooseMediaType("text/csv", kTypes), 1u);
  EXPECT_EQ(ChooseMediaType("text/csv, application/json", kTypes), 1u);
  EXPECT_EQ(ChooseMediaType("text/csv;q=0.5, application/json", kTypes), 0u);
  EXPECT_EQ(ChooseMediaType("TEXT/CSV; charset=utf-8 ;Q=0.9, */*;q=0.1", kTypes), 1u);
  EXPECT_EQ(ChooseMediaType("text/*", kTypes), 1u);
  EXPECT_EQ(ChooseMediaType("text/html, application/xml;q=0.9, */*;q=0.8", kTypes), 0u);
}

TEST(NegotiationTest, WhatIsNamedMoreExactlyCounts) {
  EXPECT_EQ(ChooseMediaType("*/*, application/json;q=0", kTypes), 1u);
  EXPECT_EQ(ChooseMediaType("application/*;q=0.2, application/x-ndjson", kTypes), 2u);
}

TEST(NegotiationTest, NothingWantedIsNothing) {
  EXPECT_EQ(ChooseMediaType("image/png", kTypes), std::nullopt);
  EXPECT_EQ(ChooseMediaType("application/json;q=0", kTypes), std::nullopt);
  EXPECT_EQ(ChooseMediaType("application/json;q=much", kTypes), std::nullopt);
}

TEST(NegotiationTest, Codings) {
  const std::vector<std::string> offered = {"zstd", "gzip"};
  EXPECT_EQ(ChooseCoding("", offered), std::nullopt);
  EXPECT_EQ(ChooseCoding("identity", offered), std::nullopt);
  EXPECT_EQ(ChooseCoding("gzip, deflate", offered), 1u);
  EXPECT_EQ(ChooseCoding("gzip, deflate, br, zstd", offered), 0u);
  EXPECT_EQ(ChooseCoding("gzip;q=1.0, zstd;q=0.5", offered), 1u);
  EXPECT_EQ(ChooseCoding("*", offered), 0u);
  EXPECT_EQ(ChooseCoding("*, zstd;q=0", offered), 1u);
  EXPECT_EQ(ChooseCoding("zstd;q=0, gzip;q=0", offered), std::nullopt);
}

TEST(NegotiationTest, MediaTypes) {
  EXPECT_EQ(MediaTypeOf("Application/JSON; charset=utf-8"), "application/json");
  EXPECT_EQ(MediaTypeOf(""), "");
}

}  // namespace
}  // namespace pondpilot::proxy::http
