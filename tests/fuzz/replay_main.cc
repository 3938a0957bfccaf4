// Runs a fuzz target without a fuzzer, as a test of any build: on each file of its corpus, then on variants
// of them that are made from a seed, the same on every machine.  usage: fuzz_TARGET CORPUS [VARIANTS [SEED]]
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMostBytes = 64 << 10;

void Run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::string Read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// A few of: a byte changed, some left out, some doubled, some of another input put in.
std::string Variant(const std::vector<std::string>& inputs, std::mt19937_64& random) {
  const auto below = [&random](size_t bound) {
    return bound == 0 ? 0 : static_cast<size_t>(random() % bound);
  };
  std::string text = inputs[below(inputs.size())];
  for (size_t changes = 1 + below(6); changes > 0; --changes) {
    const size_t at = below(text.size() + 1);
    const size_t length = std::min<size_t>(1 + below(16), text.size() - at);
    switch (below(4)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      default: {
        const std::string& other = inputs[below(inputs.size())];
        text.insert(at, other.substr(below(other.size() + 1), 1 + below(64)));
      }
    }
  }
  text.resize(std::min(text.size(), kMostBytes));
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: " << argv[0] << " CORPUS [VARIANTS [SEED]]\n";
    return 2;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<std::string> inputs;
  for (const auto& file : files) inputs.push_back(Read(file));
  if (inputs.empty()) {
    std::cerr << argv[1] << " holds no input.\n";
    return 2;
  }
  for (const std::string& input : inputs) Run(input);
  const unsigned long variants = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 2000;
  std::mt19937_64 random(argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1);
  for (unsigned long i = 0; i < variants; ++i) Run(Variant(inputs, random));
  std::cout << inputs.size() << " inputs and " << variants << " variants of them\n";
  return 0;
}
