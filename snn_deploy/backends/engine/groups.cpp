#include "groups.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <unordered_map>

namespace engine {

namespace {

constexpr int kWord = 64;
constexpr int kOtherCost = 4;      // of amounts for each place, in words
constexpr int kUsualActivity = 8;  // one in so many neurons spikes

using Amounts = std::array<int16_t, kWord>;  // of the neurons of a word

// What the neurons of one word cause in one column.
struct Part {
  int32_t column;
  bool is_same;  // for all of its neurons
  int32_t amount;
  Amounts amounts;
};

// Reads the words of a tally one after the other.
class Reader {
 public:
  Reader(const Tally& tally, int channels) : tally_(tally) {
    // words that are the same for each pixel: those of several pixels, or of one
    const int n = (int)tally.kind_of.size();
    const int run = channels == 0 || kWord % channels == 0 ? n : channels;
    for (int first = 0; first < n; first += run)
      for (int i = 0; i < run; i += kWord)
        words_.push_back({first + i, std::min(kWord, run - i)});
    int32_t last = 0;
    for (int32_t column : tally.columns) last = std::max(last, column);
    part_of_.assign((size_t)last + 1, -1);
  }

  int n_words() const { return (int)words_.size(); }
  int byte_of(int word) const { return words_[word].first / 8; }
  // The bits of its neurons.
  uint64_t mask_of(int word) const { return ~(uint64_t)0 >> (kWord - words_[word].n); }

  // The parts of a word, by column; returns false if an amount does not fit.
  bool read(int word, std::vector<Part>& parts) {
    parts.clear();
    const int first = words_[word].first, last = first + words_[word].n;
    bool fits = true;
    int n = 0;  // neurons, without padding
    for (int i = first; i < last; ++i) {
      if (!tally_.core_of.empty() && tally_.core_of[i] < 0) continue;
      bool is_first = n++ == 0;
      int32_t kind = tally_.kind_of[i];
      for (int entry = tally_.starts[kind]; entry < tally_.starts[kind + 1]; ++entry) {
        int32_t column = tally_.columns[entry], amount = tally_.amounts[entry];
        int32_t& at = part_of_[column];
        if (at < 0) {
          at = (int32_t)parts.size();
          parts.push_back({column, is_first, amount, {}});
        }
        Part& part = parts[at];
        int16_t& own = part.amounts[i - first];
        fits &= amount >= 0 && amount <= INT16_MAX - own;
        if (!fits) break;
        own = (int16_t)(own + amount);
      }
    }
    for (Part& part : parts) {
      part_of_[part.column] = -1;
      int n_same = 0;
      for (int16_t amount : part.amounts) n_same += amount == part.amount;
      part.is_same &= part.amount != 0 && n_same == n;
    }
    std::sort(parts.begin(), parts.end(),
              [](const Part& a, const Part& b) { return a.column < b.column; });
    return fits;
  }

 private:
  struct Word {
    int first, n;  // neurons
  };

  const Tally& tally_;
  std::vector<Word> words_;
  std::vector<int32_t> part_of_;  // of the word, by column
};

// A number for each column, the same for those that the same words reach.
bool families_of(Reader& reader, std::unordered_map<int32_t, uint64_t>& families) {
  std::vector<Part> parts;
  for (int word = 0; word < reader.n_words(); ++word) {
    if (!reader.read(word, parts)) return false;
    for (const Part& part : parts) {  // words mixed as in FNV-1a
      uint64_t& family = families[part.column];
      family = (family ^ (uint64_t)(word + 1)) * 0x100000001b3;
    }
  }
  return true;
}

// Groups while they are found: their parts, and their words.
struct Found {
  std::vector<Part> parts;
  uint64_t mask;
  std::vector<int32_t> bytes;  // where the words begin
};

// Tells words apart that cause different things in a family of columns.
std::vector<int32_t> key_of(const std::vector<Part>& parts, uint64_t mask) {
  std::vector<int32_t> key = {__builtin_popcountll(mask)};
  for (const Part& part : parts) {
    key.push_back(part.column);
    key.push_back(part.is_same);
    if (part.is_same)
      key.push_back(part.amount);
    else
      key.insert(key.end(), part.amounts.begin(), part.amounts.end());
  }
  return key;
}

// None if they would take longer than `most` words.
std::vector<Found> found_in(Reader& reader,
                            std::unordered_map<int32_t, uint64_t>& families,
                            size_t most) {
  std::vector<Found> found;
  size_t cost = 0;
  std::map<std::vector<int32_t>, size_t> known;
  std::vector<Part> parts;
  for (int word = 0; word < reader.n_words(); ++word) {
    reader.read(word, parts);
    const uint64_t mask = reader.mask_of(word);
    std::map<uint64_t, std::vector<Part>> together;
    for (const Part& part : parts) together[families[part.column]].push_back(part);
    for (auto& [family, own] : together) {
      auto [at, is_new] = known.try_emplace(key_of(own, mask), found.size());
      if (is_new || found[at->second].bytes.size() == kMostWords) {
        at->second = found.size();
        for (const Part& part : own) cost += part.is_same ? 1 : kOtherCost;
        found.push_back({std::move(own), mask, {}});
      }
      found[at->second].bytes.push_back(reader.byte_of(word));
      if (++cost > most) return {};
    }
  }
  // loops that are as long as the last ones take less time
  auto length = [](const Found& of) {
    auto n_same = std::count_if(of.parts.begin(), of.parts.end(),
                                [](const Part& part) { return part.is_same; });
    return std::make_tuple(of.bytes.size(), of.parts.size() - (size_t)n_same, n_same);
  };
  std::stable_sort(found.begin(), found.end(), [&](const Found& a, const Found& b) {
    return length(a) < length(b);
  });
  return found;
}

}  // namespace

Groups groups_of(const Tally& tally, int channels) {
  Reader reader(tally, channels);
  std::unordered_map<int32_t, uint64_t> families;
  if (!families_of(reader, families)) return {};
  size_t n_entries = 0;
  for (int32_t kind : tally.kind_of)
    n_entries += (size_t)(tally.starts[kind + 1] - tally.starts[kind]);
  Groups groups;
  std::map<Amounts, size_t> places;
  groups.starts = groups.same_starts = groups.other_starts = {0};
  for (const Found& found : found_in(reader, families, n_entries / kUsualActivity)) {
    groups.bytes.insert(groups.bytes.end(), found.bytes.begin(), found.bytes.end());
    groups.masks.push_back(found.mask);
    for (const Part& part : found.parts) {
      if (part.is_same) {
        groups.same_columns.push_back(part.column);
        groups.same_amounts.push_back(part.amount);
      } else {
        groups.other_columns.push_back(part.column);
        auto [at, is_new] = places.try_emplace(part.amounts, groups.amounts.size());
        groups.other_places.push_back((int32_t)at->second);
        if (is_new)
          groups.amounts.insert(groups.amounts.end(), part.amounts.begin(),
                                part.amounts.end());
      }
    }
    groups.starts.push_back((int32_t)groups.bytes.size());
    groups.same_starts.push_back((int32_t)groups.same_columns.size());
    groups.other_starts.push_back((int32_t)groups.other_columns.size());
  }
  return groups;
}

Causes Groups::causes() const {
  return {(int)starts.size() - 1, starts.data(),       bytes.data(),
          masks.data(),           same_starts.data(),  same_columns.data(),
          same_amounts.data(),    other_starts.data(), other_columns.data(),
          other_places.data(),    amounts.data()};
}

}  // namespace engine
