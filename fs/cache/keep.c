/* SPDX-License-Identifier: Apache-2.0 */
/* lost+found: bytes that could not go where they belong. Names are made of the key, but only of
 * harmless bytes of it; the key itself is in the note beside the file. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"

#define KEY_PART 100u
#define NOTE_MAX 16384u
#define TRIES 1000

static bool is_harmless(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '-' || ch == '_' || ch == '.';
}

/* The end of the key, which tells more than its start. */
static void name_of(const char *key, char ret[KEY_PART + 1])
{
    size_t len = strlen(key), n = 0;

    if (len > KEY_PART)
        key += len - KEY_PART;
    for (; *key != '\0'; key++, n++)
        ret[n] = is_harmless(*key) && !(n == 0 && (*key == '.' || *key == '-')) ? *key : '_';
    if (n == 0)
        ret[n++] = '_';
    ret[n] = '\0';
}

static void add_text(struct buf *b, const char *label, const char *text)
{
    buf_addf(b, "%s: ", label);
    for (; *text != '\0'; text++) {
        unsigned char ch = (unsigned char)*text;

        if (ch < 0x20 || ch == 0x7f)
            buf_addf(b, "\\x%02x", ch);
        else
            buf_addc(b, *text);
    }
    buf_addc(b, '\n');
}

static int make_note(int fd, const char *key, const char *why, int sync_error, struct buf *out)
{
    char when[32];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    str_format_iso8601(clock_wall_ns(), when);
    add_text(out, "key", key);
    add_text(out, "why", why);
    add_text(out, "kept", when);
    buf_addf(out, "size: %" PRIu64 "\n", (uint64_t)st.st_size);
    if (sync_error < 0)
        add_text(out, "warning: it may not be whole; sync", strerror(-sync_error));
    return out->error;
}

/* The note is made first: its name, taken exclusively, is what keeps two files from one name. */
static int write_note(const char *path, const char *text)
{
    _cleanup_close_ int fd = sys_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return fd;
    r = sys_write_all(fd, text, strlen(text));
    return r == 0 ? sys_fdatasync(fd) : r;
}

static void sync_folder(const struct cache *c)
{
    char path[PATH_MAX];
    _cleanup_close_ int fd = -1;

    snprintf(path, sizeof(path), "%s/lost+found", c->dir);
    fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        (void)!sys_fsync(fd);
}

/* Somebody may have tidied up an empty directory: that costs no bytes. */
static void make_folder(const struct cache *c)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/lost+found", c->dir);
    (void)mkdir(path, 0700); /* else the files can't be made, which says why */
}

static int move_there(struct cache_stage *s, const char *base, const char *note, char **ret_path)
{
    char path[PATH_MAX], note_path[PATH_MAX];
    int r;

    for (unsigned i = 0; i < TRIES; i++) {
        snprintf(path, sizeof(path), "%s/lost+found/%s.%llu", s->cache->dir, base,
                 (unsigned long long)++s->cache->sequence);
        snprintf(note_path, sizeof(note_path), "%s/lost+found/%s.%llu.txt", s->cache->dir, base,
                 (unsigned long long)s->cache->sequence);
        if (access(path, F_OK) == 0 || access(note_path, F_OK) == 0)
            continue;
        *ret_path = strdup(path);
        if (*ret_path == NULL)
            return -ENOMEM;
        r = write_note(note_path, note);
        if (r < 0) /* the bytes count for more than the note */
            log_warn("cache.keep.note", "file=%s cause=%s", LOG_Q(path), LOG_Q(strerror(-r)));
        sync_folder(s->cache); /* names come to a disk in any order: the bytes are not there without what they are */
        r = sys_rename(s->path, path);
        if (r == 0)
            return 0;
        free(*ret_path);
        (void)unlink(note_path);
        return r;
    }
    return -EEXIST;
}

int cache_stage_keep(struct cache_stage *s, const char *key, const char *why, char **ret_path)
{
    _cleanup_buf_ struct buf note = BUF_INIT(NOTE_MAX);
    char name[KEY_PART + 1], when[32], base[KEY_PART + 40], *path = NULL, *colon;
    int r = sys_fdatasync(cache_stage_fd(s));

    r = make_note(cache_stage_fd(s), key, why, r, &note);
    if (r == 0) {
        name_of(key, name);
        str_format_iso8601(clock_wall_ns(), when);
        while ((colon = strchr(when, ':')) != NULL)
            *colon = '-';
        snprintf(base, sizeof(base), "%s.%s", name, when);
        make_folder(s->cache);
        r = move_there(s, base, buf_str(&note), &path);
    }
    if (r < 0) {
        s->cache->count.errors++;
        return err_set(r, "cache: lost+found: %s", strerror(-r));
    }
    sync_folder(s->cache);
    free(steal(&s->path));
    cache_stage_free(s);
    *ret_path = path;
    return 0;
}
