/* SPDX-License-Identifier: Apache-2.0 */
/* A paragraph for each mount. Of NFS:
 *   device HOST:/PATH mounted on DIR with fstype nfs4 statvers=1.1
 *           bytes:  NORMALREAD NORMALWRITE DIRECTREAD DIRECTWRITE SERVERREAD SERVERWRITE READPAGES
 * WRITEPAGES per-op statistics READ: OPS TRANS TIMEOUTS SENT RECEIVED QUEUE RTT EXECUTE [ERRORS]
 * Blanks, tabs, line ends and backslashes of names are written as \ooo (fs/nfs/super.c,
 * net/sunrpc/stats.c). */
#include "mountstats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"

#define LINE_MAX_BYTES 8192
#define FIELDS_MAX 16
#define BYTES_SERVER_READ 4
#define BYTES_SERVER_WRITE 5
#define BYTES_FIELDS 6
#define OP_COUNT 0
#define OP_SENT 3
#define OP_RECEIVED 4
#define OP_FIELDS 8

/* In place. */
static void unescape(char *s)
{
    char *out = s;

    for (; *s != '\0'; s++) {
        if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3 && s[1] <= '3') {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

/* Is the mount point of a "device" line the one asked for, and is it NFS? The line is changed. */
static bool is_of(char *line, const char *mountpoint, bool *ret_nfs)
{
    char *on = strstr(line, " mounted on "),
         *type = on != NULL ? strstr(on, " with fstype ") : NULL;

    if (type == NULL)
        return false;
    *type = '\0';
    type += strlen(" with fstype ");
    on += strlen(" mounted on ");
    unescape(on);
    *ret_nfs = strncmp(type, "nfs ", 4) == 0 || strncmp(type, "nfs4 ", 5) == 0;
    return strcmp(on, mountpoint) == 0;
}

/* Numbers parted by blanks, as many as there are; -1 if something is no number. */
static int numbers(char *text, uint64_t *out)
{
    char *save = NULL;
    int n = 0;

    for (char *one = strtok_r(text, " \t", &save); one != NULL;
         one = strtok_r(NULL, " \t", &save)) {
        if (n == FIELDS_MAX)
            break;
        if (str_u64(one, 10, &out[n]) < 0)
            return -1;
        n++;
    }
    return n;
}

static int bad(const char *mountpoint, const char *what)
{
    return err_set(-EBADMSG, "%s: its paragraph in mountstats is not understood: %s", mountpoint,
                   what);
}

struct paragraph {
    const char *mountpoint;
    struct counts *counts;
    bool is_nfs, has_ops, has_bytes;
};

static bool is_word(const char *s)
{
    size_t n = 0;

    while (s[n] > ' ' && s[n] < 0x7f)
        n++;
    return n > 0 && s[n] == '\0';
}

static int take_op(struct paragraph *p, char *line)
{
    uint64_t v[FIELDS_MAX];
    char *colon = strchr(line, ':');

    if (colon == NULL)
        return bad(p->mountpoint, "an operation without a colon");
    *colon = '\0';
    if (!is_word(line))
        return bad(p->mountpoint, "the name of an operation");
    if (numbers(colon + 1, v) < OP_FIELDS)
        return bad(p->mountpoint, "an operation has too few numbers");
    if (v[OP_SENT] > UINT64_MAX - v[OP_RECEIVED])
        return bad(p->mountpoint, "a number is too large");
    return counts_put(p->counts, line, v[OP_COUNT], v[OP_SENT] + v[OP_RECEIVED]);
}

static int take_line(struct paragraph *p, char *line)
{
    uint64_t v[FIELDS_MAX];

    line += strspn(line, " \t");
    if (p->has_ops)
        return *line == '\0' ? 0 : take_op(p, line);
    p->has_ops = strcmp(line, "per-op statistics") == 0;
    if (strncmp(line, "bytes:", 6) != 0)
        return 0;
    if (numbers(line + 6, v) < BYTES_FIELDS)
        return bad(p->mountpoint, "bytes");
    p->counts->bytes_down = v[BYTES_SERVER_READ];
    p->counts->bytes_up = v[BYTES_SERVER_WRITE];
    p->has_bytes = true;
    return 0;
}

int mountstats_parse(const char *text, const char *mountpoint, struct counts *ret)
{
    struct paragraph p = {.mountpoint = mountpoint, .counts = ret};
    bool is_inside = false;
    char line[LINE_MAX_BYTES];
    int r = 0;

    *ret = (struct counts){0};
    while (*text != '\0' && r == 0) {
        size_t n = strcspn(text, "\n"), keep = n < sizeof(line) - 1 ? n : sizeof(line) - 1;

        memcpy(line, text, keep);
        line[keep] = '\0';
        text += n + (text[n] == '\n' ? 1 : 0);
        if (strncmp(line, "device ", 7) == 0 || strncmp(line, "no device ", 10) == 0) {
            bool nfs = false;

            is_inside = is_of(line, mountpoint, &nfs);
            if (is_inside) { /* a later mount at the same place hides this one */
                *ret = (struct counts){0};
                p.is_nfs = nfs;
                p.has_ops = p.has_bytes = false;
            }
        } else if (is_inside && p.is_nfs) {
            r = take_line(&p, line);
        }
    }
    if (r < 0)
        return r;
    if (!p.is_nfs)
        return err_set(-ENOENT, "%s: no NFS is mounted there", mountpoint);
    return p.has_ops && p.has_bytes ? 0 : bad(mountpoint, "no bytes, or no operations");
}
