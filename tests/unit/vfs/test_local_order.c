/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local and several names: renames over what is unsent, stored, or both, unlinks, names that
 * come back, directories, modes; and the mount dies (the disk is kept) before and after each of its
 * requests and at each sync of its disk. Then the tree, and the bucket when all is sent, is what it
 * was after the last call that was answered, or after the one under way: no name without its bytes,
 * none with another's, none twice. */
#include "localmount.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "base/err.h"
#include "tests/lib/baddisk.h"

#define NAMES 12u
#define STEPS 14u

enum op { END, PUT, APPEND, CHMOD, RENAME, UNLINK, MKDIR, RMDIR, LINK, PART, CRASH, SEND, TRY, LOSE };
static const char *const ops[] = {"end",    "put",   "append", "chmod", "rename",
                                  "unlink", "mkdir", "rmdir",  "link", "part", "crash", "send", "try", "lose"};
struct step {
    enum op op;
    char a[16], b[16]; /* put, append: b is the text; chmod: the mode. try, lose: a send of which nothing comes back;
                       part: after so many requests. crash: and the next start */
};
static const char *const scenarios[] = {
    "put a A, put b B, put c C, rename a c, unlink b, send",
    "put c old, send, put a 1, rename a c, put a 2, rename a c, unlink c, put c 3, send",
    "put a 1, send, put a 2, rename a b, put a 3, send",
    "put a A, put b B, rename a t, rename b a, rename t b, send",
    "put a A, put b B, send, put a A2, rename a t, rename b a, rename t b, send",
    "put g G, send, put f F, rename g f, put g G2, send",
    "put f 1, send, put f 2, unlink f, put f 3, unlink f, put g 4, rename g f, send",
    "put log 1, send, append log 2, rename log log.1, put log 3, append log.1 4, append log 5, send",
    "mkdir d, put d/f F, rename d/f f, put d/f F2, rename d e, put e/g G, send",
    "put a A, unlink a, mkdir a, put a/f F, send",
    "mkdir d, put d/f F, unlink d/f, rmdir d, put d D, send",
    "put a A, rename a b, send, rename b a, put b B, rename b a, send",
    "put a 1, put b 2, put c 3, send, unlink a, unlink b, put a 4, rename c b, put c 5, unlink c, send",
    "put a 1, send, unlink a, put t 1, rename t a, unlink a, put a 1, unlink a, send",
    "mkdir d, put d/f F, send, unlink d/f, put d/f G, unlink d/f, rmdir d, put d D, send",
    "mkdir d, mkdir d/f, rmdir d/f, put d/f F, send, mkdir e, rename d/f e/f, rmdir d, mkdir d, send",
    "mkdir d, mkdir e, mkdir e/f, rmdir d, rename e d, mkdir e, rmdir e, put e E, send",
    "put a A, send, chmod a 600, append a B, chmod a 640, send, chmod a 600, unlink a, put a C, send",
    "put a A, put b B, send, chmod a 600, rename a b, chmod b 640, put c C, rename c b, chmod b 600, send",
    "put a A, put b B, send, chmod a 600, chmod b 640, chmod a 640, put a C, send, chmod a 600",
    "put a A, send, mkdir d, rename a d/f, mkdir e, put e/g G, rename e/g a, rmdir e, send",
    "put t 0, send, put c 0, rename t a, put t 0, lose, put a 1, rename c t, send",
    "put a A, put b B, send, rename a t, rename b a, rename t b, chmod a 600, send",
    "put log.1 1, put log 2, send, rename log.1 t, rename log log.1, put log 3, rename log.1 g, send, put log.1 4, send",
    "put a A, put b B, send, rename a b, rename b a, append a C, rename a c, unlink c, send",
    "put a A, put b B, send, put c C, rename a t, rename c a, rename b c, rename a b, send",
    "mkdir d, put d/f F, put a A, send, rename d/f b, rename a d/f, rename d e, rename b a, send",
    "put t T, link t a, unlink t, put b B, send",
    "mkdir d, put t T, link t d/f, unlink t, put t T2, link t a, unlink t, unlink a, send",
    "put a A, link a b, send, link a c, unlink b, send",
    "put a A, link a b, unlink b, link a c, link c t, unlink a, send",
    "mkdir d, put a A, link a d/f, put d/f B, append a C, chmod a 600, send, send",
    "put a A, link a b, try, send, put t T, link t c, lose, send",
    "put a A, link a b, unlink a, put a B, link b c, link a t, send",
    "put a A, link a b, put c C, rename c b, send",
    "put a A, link a b, rename a c, unlink b, send",
    "mkdir d, send, chmod d 700, put d/f F, chmod d 711, send, chmod d 700, chmod d/f 600",
    "mkdir d, send, chmod d 700, rename d e, chmod e 711, mkdir e/f, send, chmod e/f 700, chmod e 750, send",
    "mkdir d, send, chmod d 700, lose, chmod d 711, put d/f F, try, chmod d 700, unlink d/f, rmdir d, put d D, send",
};

static void parse(const char *script, struct step steps[STEPS])
{
    size_t n = 0;

    for (const char *at = script; at != NULL; at = strchr(at, ',')) {
        char word[16];
        enum op op = PUT;

        at += strspn(at, ", ");
        assert_true(n + 1 < STEPS);
        steps[n] = (struct step){.op = END};
        assert_true(sscanf(at, "%15[a-z] %15[^, ] %15[^, ]", word, steps[n].a, steps[n].b) >= 1);
        while (strcmp(ops[op], word) != 0)
            assert_true(++op <= LOSE);
        steps[n++].op = op;
    }
    steps[n] = (struct step){.op = END};
}

/* --- what must be there --- */

struct world {
    struct {
        char name[16], text[32]; /* a directory has "/" */
        mode_t mode;
        unsigned file; /* of the same number: names of one file */
    } v[NAMES];
    size_t n;
    unsigned files;
};

static size_t find(const struct world *w, const char *name)
{
    size_t k = 0;

    while (k < w->n && strcmp(w->v[k].name, name) != 0)
        k++;
    return k;
}

static void set(struct world *w, const char *name, const char *text)
{
    size_t k = find(w, name);

    assert_true(k < NAMES);
    if (k == w->n) {
        w->n++;
        w->v[k].mode = strcmp(text, "/") == 0 ? 0755 : 0644;
        w->v[k].file = ++w->files;
    }
    snprintf(w->v[k].name, sizeof(w->v[k].name), "%s", name);
    for (size_t n = 0; n < w->n; n++)
        if (w->v[n].file == w->v[k].file)
            snprintf(w->v[n].text, sizeof(w->v[n].text), "%s", text);
}

static void set_mode(struct world *w, const char *name, mode_t mode)
{
    unsigned file = w->v[find(w, name)].file;

    for (size_t n = 0; n < w->n; n++)
        if (w->v[n].file == file)
            w->v[n].mode = mode;
}

static void add_link(struct world *w, const char *name, const char *to)
{
    assert_true(find(w, to) == w->n && w->n < NAMES);
    w->v[w->n] = w->v[find(w, name)];
    snprintf(w->v[w->n++].name, sizeof(w->v[0].name), "%s", to);
}

static void unset(struct world *w, const char *name)
{
    size_t k = find(w, name);

    if (k < w->n)
        w->v[k] = w->v[--w->n];
}

static void move(struct world *w, const char *from, const char *to)
{
    size_t len = strlen(from);

    unset(w, to);
    for (size_t k = 0; k < w->n; k++) {
        char rest[16];

        if (strncmp(w->v[k].name, from, len) != 0 || strchr("/", w->v[k].name[len]) == NULL)
            continue;
        snprintf(rest, sizeof(rest), "%s", w->v[k].name + len);
        assert_true(snprintf(w->v[k].name, sizeof(w->v[k].name), "%s%s", to, rest) < 16);
    }
}

static bool are_one(const struct world *w, const char *name, const char *other)
{
    size_t a = find(w, name), b = find(w, other);

    return a < w->n && b < w->n && w->v[a].file == w->v[b].file;
}

static mode_t mode_of(const struct step *s)
{
    return (mode_t)strtoul(s->b, NULL, 8);
}

static void apply(struct world *w, const struct step *s)
{
    char text[32];

    if (s->op == PUT)
        set(w, s->a, s->b);
    if (s->op == APPEND) {
        snprintf(text, sizeof(text), "%.14s%.14s", w->v[find(w, s->a)].text, s->b);
        set(w, s->a, text);
    }
    if (s->op == CHMOD)
        set_mode(w, s->a, mode_of(s));
    if (s->op == LINK)
        add_link(w, s->a, s->b);
    if (s->op == RENAME && !are_one(w, s->a, s->b)) /* POSIX: else nothing happens */
        move(w, s->a, s->b);
    if (s->op == UNLINK || s->op == RMDIR)
        unset(w, s->a);
    if (s->op == MKDIR)
        set(w, s->a, "/");
}

/* --- death --- */

static struct {
    struct store store;
    struct store *inner;
    atomic_uint requests, syncs;
    unsigned at_request, at_sync; /* 0: never */
    bool after, has_died; /* has_died: in a step, so a name's record may be in doubt */
    atomic_uint left; /* requests until is_out */
    atomic_bool is_out, loses; /* as is_dead is: threads that outlive the death read all three */
    atomic_bool is_dead;
} gate;

static void die(void)
{
    atomic_store(&gate.is_dead, true);
    assert_int_equal(rig_snapshot(&rig), 0);
}

static void gate_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    void (*done)(void *arg, int result) = req->done;
    void *arg = req->done_arg;
    bool is_it =
        !atomic_load(&gate.is_dead) && atomic_fetch_add(&gate.requests, 1) + 1 == gate.at_request;

    (void)s;
    if (is_it && gate.after) {
        if (store_call(gate.inner, req, rsp) < 0)
            err_clear();
        store_rsp_done(rsp);
    }
    if (is_it)
        die();
    if (!atomic_load(&gate.is_dead) && gate.loses && store_call(gate.inner, req, rsp) < 0)
        err_clear();
    if (gate.loses)
        store_rsp_done(rsp);
    if (atomic_load(&gate.left) > 0 && atomic_fetch_sub(&gate.left, 1) == 1)
        gate.is_out = true;
    if (atomic_load(&gate.is_dead) || gate.is_out || gate.loses)
        done(arg, err_set(-EIO, "nobody is there any more"));
    else
        store_submit(gate.inner, req, rsp, done, arg);
}

static const struct store_ops gate_ops = {.submit = gate_submit};

static int on_sync(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    if (!atomic_load(&gate.is_dead) && atomic_fetch_add(&gate.syncs, 1) + 1 == gate.at_sync)
        die();
    return 0;
}

struct death {
    const char *script;
    unsigned at_request, at_sync;
    bool after;
    struct step step; /* under way */
};

static void begin(const struct death *d)
{
    struct vfs_conf conf;

    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.commit = VFS_COMMIT_LOCAL;
    assert_int_equal(memstore_new(NULL, &gate.inner), 0);
    gate.store.ops = &gate_ops;
    gate.at_request = gate.at_sync = 0;
    atomic_store(&gate.is_dead, false);
    assert_int_equal(rig_open_on(&rig, &gate.store, &conf), 0);
    baddisk_watch(rig.dir, false);
    baddisk_quick_syncs(true);
    assert_int_equal(rig_remount(&rig), 0);
    baddisk_on_sync(on_sync, NULL);
    atomic_store(&gate.requests, 0);
    atomic_store(&gate.syncs, 0);
    gate.at_request = d->at_request;
    gate.after = d->after;
    gate.at_sync = d->at_sync;
}

static void end(void)
{
    rig_close(&rig);
    baddisk_unwatch();
    store_stop(gate.inner);
    store_free(gate.inner);
    clock_fake_off();
}

/* --- a case --- */

static int run_step(const struct step *s)
{
    uint64_t fh;
    int r;

    clock_fake_add(10 * NS_PER_S);
    switch (s->op) {
    case PUT:
        return rig_put(&rig, s->a, s->b, strlen(s->b));
    case APPEND:
        r = rig_open_file(&rig, s->a, O_WRONLY | O_APPEND, &fh);
        if (r == 0 && vfs_write(rig.vfs, &rig.ctx, fh, 0, s->b, strlen(s->b)) < 0)
            r = -EIO;
        return r == 0 ? rig_shut(&rig, fh) : r;
    case CHMOD:
        return rig_chmod(&rig, s->a, mode_of(s));
    case RENAME:
        return rig_rename(&rig, s->a, s->b, 0);
    case UNLINK:
        return rig_unlink(&rig, s->a);
    case LINK:
        return rig_link(&rig, s->a, s->b);
    case MKDIR:
        return rig_mkdir(&rig, s->a, 0755);
    case RMDIR:
        return rig_rmdir(&rig, s->a);
    case SEND:
        (void)outbox_run(rig.vfs);
        return 0;
    case CRASH:
        return rig_crash(&rig);
    case PART:
        atomic_store(&gate.left, 1 + (unsigned)strtoul(s->a, NULL, 10));
        (void)outbox_run(rig.vfs);
        atomic_store(&gate.left, 0);
        gate.is_out = false;
        return 0;
    case TRY:
    case LOSE:
        gate.is_out = s->op == TRY;
        gate.loses = s->op == LOSE;
        (void)outbox_run(rig.vfs);
        gate.is_out = gate.loses = false;
        return 0;
    case END:
        break;
    }
    return 0;
}

static bool same_text(const char *got, size_t n, const char *want)
{
    return n == strlen(want) && memcmp(got, want, n) == 0;
}

static bool has_mode(const struct store_obj *obj, mode_t mode)
{
    const char *value = store_hdrs_get(&obj->hdrs, STORE_USER_META "file-permissions");

    return value != NULL && (strtoul(value, NULL, 8) & 07777) == mode;
}

/* NULL: there is none. */
static bool has_marker(const char *name, const mode_t *mode)
{
    struct store_obj obj = {0};
    char key[20];
    bool ok;
    int r;

    snprintf(key, sizeof(key), "%s/", name);
    r = memstore_get(gate.inner, key, &obj, NULL);
    ok = mode != NULL ? r == 0 && has_mode(&obj, *mode) : r == STORE_NOT_FOUND;
    store_obj_done(&obj);
    return ok;
}

static unsigned n_names(const struct world *w, size_t of)
{
    unsigned n = 0;

    for (size_t k = 0; k < w->n; k++)
        n += w->v[k].file == w->v[of].file;
    return n;
}

/* What differs between the mount (or, when all is sent, the bucket) and w; NULL: nothing. */
static const char *compare(const struct world *w, bool in_bucket)
{
    static const char *const all[] = {"a",   "b", "c", "d",   "d/f", "e",   "e/f",
                                      "e/g", "f", "g", "log", "t",   "a/f", "log.1"};

    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        size_t at = find(w, all[k]);
        const char *want = at < w->n ? w->v[at].text : NULL;
        bool is_dir = want != NULL && strcmp(want, "/") == 0, ok;
        char buf[64] = "", *data = NULL;
        struct store_obj obj = {0};
        struct stat st;
        int r = 0;

        if (in_bucket) {
            r = memstore_get(gate.inner, all[k], &obj, &data);
            ok = want == NULL || is_dir ? r == STORE_NOT_FOUND
                                        : r == 0 && same_text(data, (size_t)obj.size, want) &&
                                              has_mode(&obj, w->v[at].mode);
            store_obj_done(&obj);
            free(data);
            ok = ok && has_marker(all[k], is_dir ? &w->v[at].mode : NULL);
        } else if (want == NULL || is_dir) {
            r = rig_stat(&rig, all[k], &st);
            ok = is_dir ? r == 0 && st.st_mode == (S_IFDIR | w->v[at].mode) : r == -ENOENT || r == -ENOTDIR;
        } else {
            ssize_t n = rig_get(&rig, all[k], buf, sizeof(buf));

            r = (int)n;
            ok = n >= 0 && same_text(buf, (size_t)n, want) && rig_stat(&rig, all[k], &st) == 0 &&
                 (st.st_mode & 07777) == w->v[at].mode && (gate.has_died || st.st_nlink == n_names(w, at));
        }
        if (!ok)
            return all[k];
    }
    return NULL;
}

/* What there is to send, and a rename of the dead mount when its lease is over. */
static void finish(void)
{
    for (unsigned k = 0; k < 4; k++) {
        clock_fake_add(60 * NS_PER_S);
        (void)outbox_run(rig.vfs);
        (void)rig_mend(&rig);
    }
    assert_int_equal(entries(), 0);
}

/* What is there is w[0], or else w[1]: that is what happened. */
static void settle(struct world w[2], bool in_bucket, const struct death *d)
{
    const char *wrong = compare(&w[0], in_bucket);

    if (wrong == NULL)
        return;
    if (compare(&w[1], in_bucket) != NULL)
        fail_msg("\"%s\", request %u%s, sync %u, in %s %s %s: %s is wrong", d->script,
                 d->at_request, d->after ? " done" : "", d->at_sync, ops[d->step.op], d->step.a,
                 d->step.b, wrong);
    w[0] = w[1];
}

/* A rename that was under way is finished by and by, and an unlink may come to light when the file
 * is to be sent; all else is there at once. */
static void judge(struct world w[2], const struct death *d)
{
    if (d->step.op != RENAME)
        settle(w, false, d);
    finish();
    settle(w, true, d);
    w[1] = w[0];
    settle(w, false, d);
    /* a death in the middle of a put of the journal leaves what it was about there */
    if (d->at_sync == 0 && (d->step.op == SEND || d->step.op == TRY || d->step.op == END))
        assert_int_equal(kept(), 0);
}

/* True: it died. */
static bool try_one(struct death *d)
{
    struct world w[2] = {0};
    struct step steps[STEPS];
    const struct step *s = steps;
    bool died;

    parse(d->script, steps);
    begin(d);
    for (; s->op != END && !atomic_load(&gate.is_dead); s++) {
        int r;

        w[0] = w[1];
        apply(&w[1], s);
        d->step = *s;
        r = run_step(s);
        if (!atomic_load(&gate.is_dead) && r != 0)
            fail_msg("\"%s\", %s %s: %s", d->script, ops[s->op], s->a, err_text());
    }
    died = gate.has_died = atomic_load(&gate.is_dead);
    gate.at_request = gate.at_sync = 0;
    baddisk_on_sync(NULL, NULL);
    if (died) {
        rig.store = gate.inner; /* the next mount has a network */
        assert_int_equal(rig_crash(&rig), 0);
    } else {
        w[0] = w[1];
        d->step.op = END;
    }
    judge(w, d);
    end();
    return died;
}

/* All of them take a while: else every fourth one. */
static unsigned stride(void)
{
    return getenv("S3EFS_TEST_LONG") != NULL ? 1 : 4;
}

static void at_each_request(void **state)
{
    unsigned tried = 0;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(scenarios); n++)
        for (unsigned after = 0; after < 2; after++)
            for (unsigned k = 1 + (after + (unsigned)n) % stride();
                 try_one(&(struct death){.script = scenarios[n], .at_request = k, .after = after == 1});
                 k += stride())
                tried++;
    print_message("deaths at a request: %u\n", tried);
}

static void at_each_sync(void **state)
{
    unsigned tried = 0;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(scenarios); n++)
        for (unsigned k = 1 + (unsigned)n % stride();
             try_one(&(struct death){.script = scenarios[n], .at_sync = k}); k += stride())
            tried++;
    print_message("deaths at a sync: %u\n", tried);
}

/* The removal of the name and the one of the name before its rename are two steps of the journal. */
static void unlink_of_what_was_renamed(void **state)
{
    struct death d = {.script = "put b B, put c C, send, rename c b, unlink b, send"};

    (void)state;
    do
        d.at_sync++;
    while (try_one(&d));
    assert_true(d.at_sync > 10);
}

/* --- scripts by chance, against the world that their steps make one after the other --- */

#define KINDS 27u
#define SEEDS (getenv("S3EFS_TEST_LONG") != NULL ? 400u : 40u)

_printf_(2, 3) static void say(char script[512], const char *fmt, ...)
{
    size_t n = strlen(script);
    va_list ap;

    va_start(ap, fmt);
    assert_true(vsnprintf(script + n, 512 - n, fmt, ap) < (int)(512 - n));
    va_end(ap);
}

static bool has_names(const struct world *w, const char *dir)
{
    for (size_t k = 0; k < w->n; k++)
        if (strncmp(w->v[k].name, dir, strlen(dir)) == 0 && w->v[k].name[strlen(dir)] == '/')
            return true;
    return false;
}

/* Of the directories d and e, and of what is in them. */
static void make_dir_step(unsigned *seed, const struct world *w, struct step *s)
{
    const char *dir = (unsigned)rand_r(seed) % 2 == 0 ? "d" : "e", *other = dir[0] == 'd' ? "e" : "d";
    unsigned which = (unsigned)rand_r(seed) % 4;
    char file[4];

    snprintf(file, sizeof(file), "%s/f", dir);
    snprintf(s->a, sizeof(s->a), "%s", dir);
    if (find(w, dir) == w->n) {
        s->op = MKDIR;
    } else if (which == 0 && find(w, other) == w->n) {
        s->op = RENAME;
        snprintf(s->b, sizeof(s->b), "%s", other);
    } else if (which < 2 && !has_names(w, dir)) {
        s->op = RMDIR;
    } else if (which < 3 && find(w, file) < w->n) {
        s->op = UNLINK;
        snprintf(s->a, sizeof(s->a), "%s", file);
    } else if (which < 3 && find(w, "a") < w->n) {
        s->op = RENAME;
        snprintf(s->a, sizeof(s->a), "a");
        snprintf(s->b, sizeof(s->b), "%s", file);
    } else {
        s->op = PUT;
        snprintf(s->a, sizeof(s->a), "%s", file);
    }
}

/* That name, or one in a directory. */
static const char *link_target(unsigned *seed, const struct world *w, const char *to)
{
    static const char *const in_dirs[] = {"d/f", "e/f"};
    const unsigned n = (unsigned)rand_r(seed) % 4;
    const char *dir = n < 2 ? in_dirs[n] : to;

    if (n < 2 && find(w, n == 0 ? "d" : "e") == w->n)
        return to;
    return dir;
}

/* Of every other script most steps are about names of one file. */
static unsigned kind_of_step(unsigned *seed, bool is_of_links)
{
    static const unsigned of_links[] = {19, 19, 19, 21, 22, 14, 14, 0, 0, 12, 3, 4, 4, 23, 17, 18, 8, 9};
    unsigned any = (unsigned)rand_r(seed) % KINDS;

    return is_of_links ? of_links[(unsigned)rand_r(seed) % ARRAY_LEN(of_links)] : any;
}

static void make_script(unsigned *seed, bool is_of_links, char script[512])
{
    static const char *const names[] = {"a", "b", "c", "t"};
    struct world w = {0};

    for (unsigned n = 0; n < 11; n++) {
        const char *name = names[(unsigned)rand_r(seed) % ARRAY_LEN(names)];
        const char *to = names[(unsigned)rand_r(seed) % ARRAY_LEN(names)];
        bool is_there = find(&w, name) < w.n;
        struct step s = {.op = END};

        snprintf(s.a, sizeof(s.a), "%s", name);
        switch (kind_of_step(seed, is_of_links)) {
        case 0:
        case 1:
            s.op = is_there ? UNLINK : PUT;
            break;
        case 2:
            s.op = is_there && strcmp(name, to) != 0 ? RENAME : PUT;
            break;
        case 3:
            s.op = is_there ? APPEND : PUT;
            break;
        case 4:
            s.op = SEND;
            break;
        case 12:
        case 13:
            s.op = is_there ? CHMOD : SEND;
            break;
        case 5:
        case 6:
        case 7:
        case 8:
            make_dir_step(seed, &w, &s);
            break;
        case 14:
        case 15:
        case 16:
            s.op = is_there && strcmp(name, to) != 0 ? RENAME : SEND;
            break;
        case 17:
            s.op = TRY;
            break;
        case 18:
            s.op = LOSE;
            break;
        case 19:
        case 20:
        case 24:
        case 25:
        case 26:
            if (is_there)
                to = link_target(seed, &w, to);
            s.op = is_there && find(&w, to) == w.n ? LINK : UNLINK;
            if (!is_there)
                s.op = PUT;
            break;
        case 21:
        case 22:
            s.op = PART;
            snprintf(s.a, sizeof(s.a), "%u", (unsigned)rand_r(seed) % 16);
            break;
        case 23:
            s.op = CRASH;
            break;
        default:
            s.op = PUT;
            break;
        }
        if ((s.op == RENAME || s.op == LINK) && s.b[0] == '\0')
            snprintf(s.b, sizeof(s.b), "%s", to);
        else if (s.op == PUT || s.op == APPEND) /* also the same bytes again: the same ETag */
            snprintf(s.b, sizeof(s.b), "%u", (unsigned)rand_r(seed) % 3);
        else if (s.op == CHMOD)
            snprintf(s.b, sizeof(s.b), "%o", 0600 | (unsigned)rand_r(seed) % 8);
        apply(&w, &s);
        if (s.op == SEND || s.op == TRY || s.op == LOSE || s.op == CRASH)
            say(script, "%s, ", ops[s.op]);
        else
            say(script, "%s %s %s, ", ops[s.op], s.a, s.b);
    }
    say(script, "send");
}

static void by_chance(void **state)
{
    unsigned died = 0, seeds = SEEDS;

    (void)state;
    for (unsigned n = 1; n <= seeds; n++) {
        unsigned seed = n;
        char script[512] = "";
        struct death d = {.script = script};

        make_script(&seed, n % 2 == 0, script);
        assert_false(try_one(&d));
        d.at_request = 1 + (unsigned)rand_r(&seed) % 12;
        d.after = (unsigned)rand_r(&seed) % 2 == 0;
        died += try_one(&d);
        d.at_request = 0;
        d.at_sync = 1 + (unsigned)rand_r(&seed) % 40;
        died += try_one(&d);
    }
    print_message("scripts by chance: %u, deaths: %u\n", seeds, died);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_each_request),
        cmocka_unit_test(at_each_sync),
        cmocka_unit_test(unlink_of_what_was_renamed),
        cmocka_unit_test(by_chance),
    };

    if (access("/dev/shm", W_OK) == 0) /* many directories, and syncs are not waited for anyway */
        setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests_name("vfs/local_order", tests, NULL, NULL);
}
