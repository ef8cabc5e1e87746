#include "model/json.h"

#include <charconv>
#include <cmath>
#include <set>
#include <system_error>

#include "model/model.h"

namespace so3krates {

namespace {

constexpr int maxDepth = 32;
constexpr std::size_t maxValues = 1000000;

class Parser {
public:
    explicit Parser(std::string_view text) : text(text) {}

    Json parse() {
        Json value = parseValue(0);
        skipSpace();
        if (position != text.size())
            fail("text after the end");
        return value;
    }

private:
    std::string_view text;
    std::size_t position = 0;
    std::size_t numValues = 0;

    [[noreturn]] void fail(const std::string &what) const {
        throw ModelError("invalid JSON at byte " + std::to_string(position) + ": " + what);
    }

    bool atEnd() const { return position >= text.size(); }
    char peek() const {
        if (atEnd())
            fail("it ends early");
        return text[position];
    }
    char next() {
        char c = peek();
        position++;
        return c;
    }
    void skipSpace() {
        while (!atEnd() &&
               (text[position] == ' ' || text[position] == '\t' || text[position] == '\n' || text[position] == '\r'))
            position++;
    }
    void expect(char wanted) {
        if (peek() != wanted)
            fail(std::string("expected '") + wanted + "'");
        position++;
    }
    void expectWord(std::string_view word) {
        if (text.substr(position, word.size()) != word)
            fail("unknown word");
        position += word.size();
    }

    Json parseValue(int depth) {
        if (depth > maxDepth)
            fail("nested too deeply");
        if (++numValues > maxValues)
            fail("too many values");
        skipSpace();
        Json value;
        switch (peek()) {
        case '{':
            parseObject(value, depth);
            break;
        case '[':
            parseArray(value, depth);
            break;
        case '"':
            value.type = Json::Type::String;
            value.string = parseString();
            break;
        case 't':
            expectWord("true");
            value.type = Json::Type::Bool;
            value.boolean = true;
            break;
        case 'f':
            expectWord("false");
            value.type = Json::Type::Bool;
            break;
        case 'n':
            expectWord("null");
            break;
        default:
            parseNumber(value);
        }
        return value;
    }

    void parseObject(Json &value, int depth) {
        value.type = Json::Type::Object;
        std::set<std::string> names;
        position++;
        skipSpace();
        if (peek() == '}') {
            position++;
            return;
        }
        while (true) {
            skipSpace();
            if (peek() != '"')
                fail("expected a name");
            std::string name = parseString();
            if (!names.insert(name).second)
                fail("'" + name + "' appears twice");
            skipSpace();
            expect(':');
            value.members.emplace_back(std::move(name), parseValue(depth + 1));
            skipSpace();
            if (next() == '}')
                return;
            position--;
            expect(',');
        }
    }

    void parseArray(Json &value, int depth) {
        value.type = Json::Type::Array;
        position++;
        skipSpace();
        if (peek() == ']') {
            position++;
            return;
        }
        while (true) {
            value.items.push_back(parseValue(depth + 1));
            skipSpace();
            if (next() == ']')
                return;
            position--;
            expect(',');
        }
    }

    void parseNumber(Json &value) {
        const std::size_t start = position;
        auto isDigit = [&] { return !atEnd() && text[position] >= '0' && text[position] <= '9'; };
        auto digits = [&] {
            if (!isDigit())
                fail("expected a digit");
            while (isDigit())
                position++;
        };
        bool whole = true;
        if (peek() == '-')
            position++;
        if (!atEnd() && text[position] == '0')
            position++; // no digit may follow
        else
            digits();
        if (!atEnd() && text[position] == '.') {
            whole = false;
            position++;
            digits();
        }
        if (!atEnd() && (text[position] == 'e' || text[position] == 'E')) {
            whole = false;
            position++;
            if (!atEnd() && (text[position] == '+' || text[position] == '-'))
                position++;
            digits();
        }
        value.type = Json::Type::Number;
        const auto result = std::from_chars(text.data() + start, text.data() + position, value.number);
        if (result.ec == std::errc::result_out_of_range || !std::isfinite(value.number))
            fail("a number beyond the range of double precision");
        if (result.ec != std::errc())
            fail("not a number");
        value.isWhole = whole && std::abs(value.number) <= 9007199254740992.0;
    }

    unsigned parseHex4() {
        unsigned code = 0;
        for (int i = 0; i < 4; i++) {
            const char c = next();
            code <<= 4;
            if (c >= '0' && c <= '9')
                code += c - '0';
            else if (c >= 'a' && c <= 'f')
                code += c - 'a' + 10;
            else if (c >= 'A' && c <= 'F')
                code += c - 'A' + 10;
            else
                fail("expected a hexadecimal digit");
        }
        return code;
    }

    static void appendUtf8(std::string &out, unsigned code) {
        if (code < 0x80) {
            out += (char)code;
        } else if (code < 0x800) {
            out += (char)(0xC0 | (code >> 6));
            out += (char)(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            out += (char)(0xE0 | (code >> 12));
            out += (char)(0x80 | ((code >> 6) & 0x3F));
            out += (char)(0x80 | (code & 0x3F));
        } else {
            out += (char)(0xF0 | (code >> 18));
            out += (char)(0x80 | ((code >> 12) & 0x3F));
            out += (char)(0x80 | ((code >> 6) & 0x3F));
            out += (char)(0x80 | (code & 0x3F));
        }
    }

    void parseEscape(std::string &out) {
        switch (next()) {
        case '"':
            out += '"';
            return;
        case '\\':
            out += '\\';
            return;
        case '/':
            out += '/';
            return;
        case 'b':
            out += '\b';
            return;
        case 'f':
            out += '\f';
            return;
        case 'n':
            out += '\n';
            return;
        case 'r':
            out += '\r';
            return;
        case 't':
            out += '\t';
            return;
        case 'u': {
            unsigned code = parseHex4();
            if (code >= 0xD800 && code < 0xDC00) {
                if (next() != '\\' || next() != 'u')
                    fail("half of a surrogate pair");
                const unsigned low = parseHex4();
                if (low < 0xDC00 || low > 0xDFFF)
                    fail("half of a surrogate pair");
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            } else if (code >= 0xDC00 && code <= 0xDFFF)
                fail("half of a surrogate pair");
            appendUtf8(out, code);
            return;
        }
        default:
            fail("unknown escape");
        }
    }

    // Copies one character of more than one byte, refusing overlong forms, surrogates and codes above 10FFFF.
    void copyUtf8(std::string &out, unsigned char first) {
        int following;
        unsigned code, smallest;
        if (first >= 0xC2 && first <= 0xDF) {
            following = 1, code = first & 0x1F, smallest = 0x80;
        } else if (first >= 0xE0 && first <= 0xEF) {
            following = 2, code = first & 0x0F, smallest = 0x800;
        } else if (first >= 0xF0 && first <= 0xF4) {
            following = 3, code = first & 0x07, smallest = 0x10000;
        } else {
            fail("not UTF-8");
        }
        for (int i = 0; i < following; i++) {
            const unsigned char c = (unsigned char)next();
            if ((c & 0xC0) != 0x80)
                fail("not UTF-8");
            code = (code << 6) | (c & 0x3F);
        }
        if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
            fail("not UTF-8");
        appendUtf8(out, code);
    }

    std::string parseString() {
        std::string out;
        expect('"');
        while (true) {
            const unsigned char c = (unsigned char)next();
            if (c == '"')
                return out;
            if (c == '\\')
                parseEscape(out);
            else if (c < 0x20)
                fail("a control character in a string");
            else if (c < 0x80)
                out += (char)c;
            else
                copyUtf8(out, c);
        }
    }
};

} // namespace

const Json *Json::find(const std::string &name) const {
    for (const auto &[key, value] : members)
        if (key == name)
            return &value;
    return nullptr;
}

Json parseJson(std::string_view text) { return Parser(text).parse(); }

} // namespace so3krates
