/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

#define LEASE_DEFAULT_NS (30 * NS_PER_S)

int coord_new(const struct coord_conf *conf, struct store *store, struct coord **ret)
{
    struct coord *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return err_set(-ENOMEM, "no memory for the coordination between mounts");
    c->conf = *conf;
    if (c->conf.lease_ns == 0)
        c->conf.lease_ns = LEASE_DEFAULT_NS;
    c->store = store;
    lock_init(&c->lock, LOCK_COORD);
    session_init(c);
    c->prefix = strdup(conf->state_prefix);
    if (c->prefix == NULL) {
        coord_free(c);
        return err_set(-ENOMEM, "no memory for the coordination between mounts");
    }
    *ret = c;
    return 0;
}

void coord_free(struct coord *c)
{
    if (c == NULL)
        return;
    session_done(c);
    judge_done(c);
    lock_done(&c->lock);
    free(c->prefix);
    free(c);
}

const char *coord_state_prefix(const struct coord *c)
{
    return c->prefix;
}
