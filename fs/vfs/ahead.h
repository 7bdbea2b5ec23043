/* SPDX-License-Identifier: Apache-2.0 */
/* Who walks a directory, looking its names up in the order of its listing (ls -l, find, du, rsync),
 * and how far ahead of him is asked. Pure but for the memory of names; the caller's lock.
 *
 * AHEAD-1  Names are asked for ahead only behind two lookups in order, where between the two no
 * more than AHEAD_GAP names were passed over that a walker would have asked for. AHEAD-2  Of names
 * that nobody has come for there are never more than the window: it begins at AHEAD_FIRST, doubles
 * with each answer that somebody came for, to AHEAD_MOST, and is closed by an answer that is none.
 */
#ifndef S3EFS_VFS_AHEAD_H
#define S3EFS_VFS_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfs/vfs.h"

#define AHEAD_FIRST 2
#define AHEAD_MOST 32
#define AHEAD_GAP 2
#define AHEAD_LIST 8   /* a window from which on a page of a LIST may be taken instead */
#define AHEAD_LOOK 8   /* names to look for the second lookup among */
#define AHEAD_NAMES 64 /* that a walk knows at once */

struct ahead_name {
    char *name;
    bool is_wanted; /* a walker would have to ask for it: an object, and nothing is known of it */
    bool is_sent;
};

struct ahead_walk {
    uint64_t dir;  /* its node; 0: nobody */
    uint64_t used; /* the caller's clock, at its last lookup */
    char last[VFS_NAME_MAX + 1];
    char end[VFS_NAME_MAX + 1]; /* of the last page; "": none */
    unsigned window;   /* 0: nothing is asked ahead */
    int64_t listed_ns; /* when it was last thought of a LIST; later than now: of a slow one */
    struct ahead_name v[AHEAD_NAMES];
    size_t n, at; /* v[at] is the first behind `last` */
    bool is_end;  /* the directory ends with them */
};

void ahead_done(struct ahead_walk *w); /* and is nobody's */
/* A lookup of a name that continues no walk: here one may begin. */
void ahead_begin(struct ahead_walk *w, uint64_t dir, const char *name);
/* Is it a name that comes next? Then the walk goes on there. */
bool ahead_step(struct ahead_walk *w, const char *name);
/* Somebody came for an answer. */
void ahead_hit(struct ahead_walk *w, bool is_answer);
/* Too few names are known to fill the window. */
bool ahead_is_short(const struct ahead_walk *w);
/* Is it time to see whether a page of a LIST costs less? At most once in every_ns, and where the last
 * page ended. */
bool ahead_may_list(struct ahead_walk *w, int64_t now_ns, int64_t every_ns);
/* One was taken, from then till now, which ends with that name: up to there nothing is asked for another. "", one that
 * ends before the walk or that took longer than half of every_ns: the next is not taken soon. */
void ahead_listed(struct ahead_walk *w, const char *end, int64_t began_ns, int64_t now_ns, int64_t every_ns);
/* Behind which name that is to be among them the names that come next are to be read: `last`, or the page's end. */
const char *ahead_from(const struct ahead_walk *w, const char *name);
/* The names behind that, one after the other. false: no more are taken. */
void ahead_names_begin(struct ahead_walk *w);
bool ahead_names_add(struct ahead_walk *w, const char *name, bool is_wanted);
/* The next name to be asked for, or NULL. It counts as sent. */
struct ahead_name *ahead_next(struct ahead_walk *w);

#endif
