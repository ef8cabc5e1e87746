#pragma once
// A small strict reader of JSON (RFC 8259) for the headers of model files.
// Refuses what a hostile file could use against us: deep nesting, floods of values, duplicate names, invalid
// UTF-8, text after the end. Numbers are read independently of the locale.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace so3krates {

struct Json {
    enum class Type { Null, Bool, Number, String, Array, Object };
    Type type = Type::Null;
    bool boolean = false;
    double number = 0;
    bool isWhole = false; // written without fraction and exponent, and exact in `number`
    std::string string;
    std::vector<Json> items;                           // of an array
    std::vector<std::pair<std::string, Json>> members; // of an object, in the order of the file

    const Json *find(const std::string &name) const; // member of an object; null if there is none
};

// Throws ModelError, naming the byte where the text goes wrong.
Json parseJson(std::string_view text);

} // namespace so3krates
