/* SPDX-License-Identifier: Apache-2.0 */
/* Media types. */
#include "mime.h"

#include <string.h>
#include <strings.h>

#include "base/macros.h"

struct signature {
    const char *type;
    unsigned char off, len;
    const char *bytes;
    unsigned char off2, len2;
    const char *bytes2;
};

#define SIG(type, bytes)                                                                           \
    {                                                                                              \
        type, 0, sizeof(bytes) - 1, bytes, 0, 0, ""                                                \
    }
#define SIG_AT(type, at, bytes)                                                                    \
    {                                                                                              \
        type, at, sizeof(bytes) - 1, bytes, 0, 0, ""                                               \
    }
#define SIG_BOTH(type, bytes, at2, b2)                                                             \
    {                                                                                              \
        type, 0, sizeof(bytes) - 1, bytes, at2, sizeof(b2) - 1, b2                                 \
    }

static const struct signature signatures[] = {
    SIG("image/jpeg", "\xff\xd8\xff"),
    SIG("image/png", "\x89PNG\r\n\x1a\n"),
    SIG("image/gif", "GIF87a"),
    SIG("image/gif", "GIF89a"),
    SIG_BOTH("image/webp", "RIFF", 8, "WEBPVP"),
    SIG_BOTH("audio/wave", "RIFF", 8, "WAVE"),
    SIG_BOTH("video/avi", "RIFF", 8, "AVI "),
    SIG("image/x-icon", "\x00\x00\x01\x00"),
    SIG("image/tiff", "II*\0"),
    SIG("image/tiff", "MM\0*"),
    SIG_AT("image/avif", 4, "ftypavif"),
    SIG_AT("image/avif", 4, "ftypavis"),
    SIG_AT("image/heic", 4, "ftypheic"),
    SIG_AT("image/heic", 4, "ftypheix"),
    SIG_AT("image/heif", 4, "ftypmif1"),
    SIG_AT("video/quicktime", 4, "ftypqt  "),
    SIG_AT("audio/mp4", 4, "ftypM4A "),
    SIG_AT("video/mp4", 4, "ftyp"),
    SIG("image/jxl", "\xff\x0a"),
    SIG("image/jxl", "\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"),
    SIG("image/jp2", "\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a"),
    SIG("image/vnd.adobe.photoshop", "8BPS"),
    SIG("video/webm", "\x1a\x45\xdf\xa3"),
    SIG("audio/mpeg", "ID3"),
    SIG("audio/flac", "fLaC"),
    SIG("application/ogg", "OggS\0"),
    SIG("application/pdf", "%PDF-"),
    SIG("application/postscript", "%!PS-Adobe-"),
    SIG("application/zip", "PK\x03\x04"),
    SIG("application/x-gzip", "\x1f\x8b\x08"),
    SIG("application/zstd", "\x28\xb5\x2f\xfd"),
    SIG("application/x-bzip2", "BZh"),
    SIG("application/x-xz", "\xfd"
                            "7zXZ\0"),
    SIG("application/x-7z-compressed", "7z\xbc\xaf\x27\x1c"),
    SIG("font/woff", "wOFF"),
    SIG("font/woff2", "wOF2"),
    SIG("font/otf", "OTTO\0"),
    SIG("application/wasm", "\0asm"),
    SIG("application/vnd.sqlite3", "SQLite format 3\0"),
};

static const struct {
    const char *suffix, *type;
} suffixes[] = {
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"jpe", "image/jpeg"},
    {"png", "image/png"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"heic", "image/heic"},
    {"heif", "image/heif"},
    {"svg", "image/svg+xml"},
    {"ico", "image/x-icon"},
    {"bmp", "image/bmp"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"jxl", "image/jxl"},
    {"psd", "image/vnd.adobe.photoshop"},
    {"mp4", "video/mp4"},
    {"m4v", "video/mp4"},
    {"mov", "video/quicktime"},
    {"webm", "video/webm"},
    {"mkv", "video/x-matroska"},
    {"avi", "video/x-msvideo"},
    {"mpeg", "video/mpeg"},
    {"mpg", "video/mpeg"},
    {"ts", "video/mp2t"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"mpd", "application/dash+xml"},
    {"mp3", "audio/mpeg"},
    {"m4a", "audio/mp4"},
    {"aac", "audio/aac"},
    {"ogg", "audio/ogg"},
    {"oga", "audio/ogg"},
    {"opus", "audio/ogg"},
    {"wav", "audio/wav"},
    {"flac", "audio/flac"},
    {"html", "text/html"},
    {"htm", "text/html"},
    {"xhtml", "application/xhtml+xml"},
    {"css", "text/css"},
    {"js", "text/javascript"},
    {"mjs", "text/javascript"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"xml", "application/xml"},
    {"rss", "application/rss+xml"},
    {"atom", "application/atom+xml"},
    {"txt", "text/plain"},
    {"log", "text/plain"},
    {"md", "text/markdown"},
    {"csv", "text/csv"},
    {"tsv", "text/tab-separated-values"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"ics", "text/calendar"},
    {"vtt", "text/vtt"},
    {"pdf", "application/pdf"},
    {"ps", "application/postscript"},
    {"rtf", "application/rtf"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"epub", "application/epub+zip"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"tgz", "application/gzip"},
    {"tar", "application/x-tar"},
    {"bz2", "application/x-bzip2"},
    {"xz", "application/x-xz"},
    {"7z", "application/x-7z-compressed"},
    {"rar", "application/vnd.rar"},
    {"zst", "application/zstd"},
    {"jar", "application/java-archive"},
    {"wasm", "application/wasm"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    {"eot", "application/vnd.ms-fontobject"},
    {"sqlite", "application/vnd.sqlite3"},
    {"parquet", "application/vnd.apache.parquet"},
};

static bool has(const unsigned char *head, size_t len, unsigned off, unsigned n, const char *bytes)
{
    return n == 0 || (off + n <= len && memcmp(head + off, bytes, n) == 0);
}

/* "BM" alone begins too many texts: a BMP also has two reserved zero words and the offset of its
 * pixels. */
static bool is_bmp(const unsigned char *head, size_t len)
{
    return has(head, len, 0, 2, "BM") && has(head, len, 6, 4, "\0\0\0\0") && len > 14 &&
           head[14] >= 12;
}

/* Text that begins (after blanks and a byte order mark) as an SVG or HTML document does. */
static const char *from_markup(const unsigned char *head, size_t len)
{
    static const struct {
        const char *begin, *type;
    } marks[] = {
        {"<svg", "image/svg+xml"},
        {"<!doctype html", "text/html"},
        {"<html", "text/html"},
        {"<!doctype svg", "image/svg+xml"},
    };
    size_t i = has(head, len, 0, 3, "\xef\xbb\xbf") ? 3 : 0;

    while (i < len && (head[i] == ' ' || head[i] == '\t' || head[i] == '\r' || head[i] == '\n'))
        i++;
    for (size_t k = 0; k < ARRAY_LEN(marks); k++) {
        size_t n = strlen(marks[k].begin);

        if (i + n <= len && strncasecmp((const char *)head + i, marks[k].begin, n) == 0)
            return marks[k].type;
    }
    return NULL;
}

/* An office document is a zip, an .svgz a gzip: the name says more than such a container's first
 * bytes. */
static bool is_container(const char *type)
{
    return strcmp(type, "application/zip") == 0 || strcmp(type, "application/x-gzip") == 0 ||
           strcmp(type, "application/ogg") == 0 || strcmp(type, "video/mp4") == 0 ||
           strcmp(type, "video/webm") == 0;
}

const char *mime_from_bytes(const unsigned char *head, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
        const struct signature *s = &signatures[i];

        if (has(head, len, s->off, s->len, s->bytes) && has(head, len, s->off2, s->len2, s->bytes2))
            return s->type;
    }
    if (is_bmp(head, len))
        return "image/bmp";
    return from_markup(head, len);
}

const char *mime_from_name(const char *name)
{
    const char *dot = strrchr(name, '.');

    if (dot == NULL)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (strcasecmp(dot + 1, suffixes[i].suffix) == 0)
            return suffixes[i].type;
    return NULL;
}

bool mime_is_vague(const char *type)
{
    return type == NULL || type[0] == '\0' || strcmp(type, MIME_UNKNOWN) == 0 ||
           strcmp(type, "binary/octet-stream") == 0 || strcmp(type, "text/plain") == 0 ||
           is_container(type);
}
