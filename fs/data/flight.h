/* SPDX-License-Identifier: Apache-2.0 */
/* A GET of one range of one version: what flight.c and idle.c share. */
#ifndef S3EFS_DATA_FLIGHT_H
#define S3EFS_DATA_FLIGHT_H

#include "internal.h"

enum flight_state { FLYING, LANDED, FAILED };

struct flight {
    struct map_link link;
    struct work work;
    struct data *d;
    char *key;
    struct store_etag etag;
    uint64_t size;     /* of the object */
    uint64_t off, len; /* len: what it has of the data's memory, too */
    char *data;
    struct store_req req;
    struct store_rsp rsp;
    struct store_mem mem;
    struct store_sink sink;
    struct cond landed;
    bool is_ahead;
    /* Guarded by data's lock. */
    unsigned refs;
    enum flight_state state;
    int result;
    struct err_copy err;
    bool in_table, is_idle;
    struct flight *idle_prev, *idle_next;
};

/* With len 0, in no table; NULL: no memory. */
struct flight *flight_make(struct data *d, const struct cache_id *id);
/* Who has the last reference, or one that was never entered; NULL is fine. Without the lock. */
void flight_free(struct flight *fl);
/* Puts it into the table, which has the one reference then. fl->len bytes of the memory are taken
 * for it. */
void flight_enter_locked(struct flight *fl, struct flight_range range);
/* Gives up the table's reference. Returns the flight if that was the last: free it once the lock is
 * dropped. */
struct flight *flight_leave_locked(struct flight *fl);
/* The flight that has the byte at off, or NULL; *ret_end: where the next flight of this version
 * begins. */
struct flight *flight_find_locked(struct data *d, const struct cache_id *id, uint64_t off,
                                  uint64_t *ret_end);

/* --- spare.c: buffers of range_size bytes, each with as much of the memory, between two flights --- */
bool spare_take(struct data *d, uint64_t len, char **ret); /* false: there is none of this length */
void spare_put(struct data *d, char *data, uint64_t len);  /* both consumed: kept, or freed and given back */
void spare_drop_all(struct data *d);
bool spare_try(struct data *d, uint64_t len, uint64_t limit); /* memory, if there is some below the limit; spares make way */

/* --- idle.c: landed, but the cache would not have their bytes; they stay while nobody needs the
 * room --- */
void idle_append_locked(struct data *d, struct flight *fl);
void idle_remove_locked(struct data *d, struct flight *fl);
bool idle_drop_oldest(struct data *d); /* false: there is none */
/* Drops what is too much, or in the way of who waits. After each append, without the lock. */
void idle_trim(struct data *d);

#endif
