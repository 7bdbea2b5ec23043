/* SPDX-License-Identifier: Apache-2.0 */
#include "readhist.h"

static struct readhist_dir *of(struct readhist *h, uint64_t dir)
{
    struct readhist_dir *d = &h->v[dir % READHIST_DIRS];

    if (d->dir != dir)
        *d = (struct readhist_dir){.dir = dir};
    return d;
}

bool readhist_expects(struct readhist *h, uint64_t dir)
{
    return of(h, dir)->credit > 0;
}

void readhist_spend(struct readhist *h, uint64_t dir)
{
    struct readhist_dir *d = of(h, dir);

    if (d->credit > 0)
        d->credit--;
}

void readhist_read(struct readhist *h, uint64_t dir)
{
    struct readhist_dir *d = of(h, dir);

    d->credit += READHIST_READ;
    if (d->credit > READHIST_CREDIT)
        d->credit = READHIST_CREDIT;
}

void readhist_failed(struct readhist *h, uint64_t dir)
{
    of(h, dir)->credit = 0;
}

uint64_t readhist_window(struct readhist *h, uint64_t dir, uint64_t guess)
{
    uint64_t window = of(h, dir)->window;

    if (window > 0)
        return window;
    return guess > READHIST_LEAST ? guess : READHIST_LEAST;
}

/* The largest of the last ones: at once as large as what was found, by and by as small, but for the first one. A file
 * that is not fetched whole anyway says nothing of others. */
void readhist_size(struct readhist *h, uint64_t dir, uint64_t size)
{
    struct readhist_dir *d = of(h, dir);
    uint32_t want;

    if (size > READHIST_MOST) {
        if (d->window == 0)
            d->window = READHIST_LEAST;
        return;
    }
    want = ((uint32_t)size + READHIST_UNIT - 1) / READHIST_UNIT * READHIST_UNIT;
    if (want < READHIST_LEAST)
        want = READHIST_LEAST;
    if (want >= d->window)
        d->window = want;
    else
        d->window -= (d->window - want) / 16 > READHIST_UNIT
                         ? (d->window - want) / 16 / READHIST_UNIT * READHIST_UNIT
                         : READHIST_UNIT;
}
