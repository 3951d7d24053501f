// One unit of a large library: containers, algorithms and closures over types of its own, all inlined into one another.
// UNIT is its number, TYPES how many types it has.
#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#define JOIN_EXPANDED(a, b) a##b
#define JOIN(a, b) JOIN_EXPANDED(a, b)

namespace JOIN(unit, UNIT) {

template <int N>
struct Key {
    std::string text;
    int number = N;
    bool operator<(const Key& other) const {
        return text < other.text || (text == other.text && number < other.number);
    }
    bool operator==(const Key& other) const { return text == other.text; }
};

template <int N>
struct Hash {
    size_t operator()(const Key<N>& key) const { return std::hash<std::string>()(key.text) * N; }
};

template <int N>
struct Store {
    std::map<Key<N>, std::vector<Key<N>>> tree;
    std::unordered_map<Key<N>, std::set<Key<N>>, Hash<N>> table;
    std::vector<std::function<int(const Key<N>&)>> calls;
    std::vector<std::variant<int, std::string, Key<N>>> mixed;

    void add(const std::string& text) {
        Key<N> key{text};
        tree[key].push_back(key);
        table[key].insert(key);
        calls.emplace_back(
            [this, text](const Key<N>& other) { return int(tree.count(other) + text.size()); });
        mixed.emplace_back(key);
        mixed.emplace_back(text);
    }

    int sum(const Key<N>& key) {
        std::vector<Key<N>> all;
        for (auto& [_, list] : tree) all.insert(all.end(), list.begin(), list.end());
        std::sort(all.begin(), all.end());
        std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.number < b.number; });
        all.erase(std::unique(all.begin(), all.end()), all.end());
        int total = std::accumulate(calls.begin(), calls.end(), 0,
                                    [&](int sum, auto& call) { return sum + call(key); });
        for (auto& each : mixed) {
            total += std::visit(
                [](auto& value) {
                    if constexpr (requires { value.size(); }) return int(value.size());
                    else if constexpr (requires { value.number; }) return value.number;
                    else return int(value);
                },
                each);
        }
        return total + int(all.size());
    }

    std::string text() const {
        std::ostringstream out;
        for (auto& [key, list] : tree) out << key.text << ':' << list.size() << ';';
        return out.str();
    }
};

template <int... N>
int all(const std::string& text, std::integer_sequence<int, N...>) {
    return ([&] {
        Store<N> store;
        store.add(text);
        store.add(text + "x");
        return store.sum(Key<N>{text}) + int(store.text().size());
    }() + ...);
}

}  // namespace JOIN(unit, UNIT)

extern "C" int JOIN(run, UNIT)(const char* text) {
    return JOIN(unit, UNIT)::all(text, std::make_integer_sequence<int, TYPES>());
}
