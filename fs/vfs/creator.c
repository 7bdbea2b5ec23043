/* SPDX-License-Identifier: Apache-2.0 */
/* Linux only, and only with ptrace rights over the caller: root in the same pid namespace has them
 * (process_vm_readv(2), "access modes" in ptrace(2)). */
#include "creator.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/str.h"
#include "base/sys.h"
#include "internal.h"

#define LOOK_NS 50000
#define LOOKS 16   /* the caller goes to sleep a moment after its question is here */
#define PAGE 4096u /* the least there is: a read never starts on one page and fails on the next */

static int next_number(const char **p, unsigned base, uint64_t *ret)
{
    char word[24];
    size_t n;

    *p += strspn(*p, " ");
    if (base == 16 && str_starts(*p, "0x"))
        *p += 2;
    n = strcspn(*p, " \n");
    if (n == 0 || n >= sizeof(word))
        return -EINVAL;
    memcpy(word, *p, n);
    word[n] = '\0';
    *p += n;
    return str_u64(word, base, ret);
}

int creator_parse(const char *text, struct creator_regs *ret)
{
    uint64_t nr;
    int r = next_number(&text, 10, &nr); /* "running", and "-1" outside of system calls, are none */

    for (size_t i = 0; i < ARRAY_LEN(ret->arg) && r == 0; i++)
        r = next_number(&text, 16, &ret->arg[i]);
    if (r == 0)
        r = next_number(&text, 16, &ret->sp);
    if (r < 0 || nr > INT32_MAX)
        return -EINVAL;
    ret->nr = (long)nr;
    return 0;
}

int creator_decode(const struct creator_regs *regs, struct creator_open *ret)
{
#if UINTPTR_MAX > UINT32_MAX
    if (regs->sp <= UINT32_MAX) /* the number of a 32-bit program means something else */
        return -EOPNOTSUPP;
#endif
    *ret = (struct creator_open){0};
    switch (regs->nr) {
#ifdef SYS_open
    case SYS_open:
        ret->path = regs->arg[0];
        ret->flags = regs->arg[1];
        return 0;
#endif
#ifdef SYS_creat
    case SYS_creat:
        ret->path = regs->arg[0];
        ret->flags = O_CREAT | O_WRONLY | O_TRUNC;
        return 0;
#endif
    case SYS_openat:
        ret->path = regs->arg[1];
        ret->flags = regs->arg[2];
        return 0;
#ifdef SYS_openat2
    case SYS_openat2:
        ret->path = regs->arg[1];
        ret->how = regs->arg[2];
        return 0;
#endif
#ifdef SYS_rename
    case SYS_rename:
        *ret = (struct creator_open){.path = regs->arg[1], .flags = CREATOR_RENAMES};
        return 0;
#endif
#ifdef SYS_renameat
    case SYS_renameat:
#endif
    case SYS_renameat2:
        *ret = (struct creator_open){.path = regs->arg[3], .flags = CREATOR_RENAMES};
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

/* As many bytes of the caller's memory as there are, up to size. */
static ssize_t read_memory(pid_t tid, uint64_t addr, void *buf, size_t size)
{
    size_t first = PAGE - addr % PAGE;
    struct iovec here = {buf, size}, there[2];

    if (first > size)
        first = size;
    there[0] = (struct iovec){(void *)(uintptr_t)addr, first};
    there[1] = (struct iovec){(void *)(uintptr_t)(addr + first), size - first};
    return process_vm_readv(tid, &here, 1, there, size > first ? 2 : 1, 0);
}

static int read_path(pid_t tid, uint64_t addr, char path[CREATOR_PATH])
{
    ssize_t n = read_memory(tid, addr, path, CREATOR_PATH);

    if (n < 0)
        return -errno;
    return memchr(path, '\0', (size_t)n) != NULL ? 0 : -ENAMETOOLONG;
}

static int read_regs(pid_t tid, struct creator_regs *ret)
{
    char path[64], text[256];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/syscall", (int)tid);
    fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    n = sys_pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    if (n < 0)
        return (int)n;
    text[n] = '\0';
    return creator_parse(text, ret);
}

int creator_call(pid_t tid, char path[CREATOR_PATH], uint64_t *ret_flags)
{
    struct creator_regs regs;
    struct creator_open open;
    int r = -EINVAL;

    for (int i = 0; i < LOOKS && r == -EINVAL; i++) {
        if (i > LOOKS / 2) /* on a busy machine it may have no processor to do so */
            (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
        else if (i > 0)
            sched_yield();
        r = read_regs(tid, &regs);
    }
    if (r == 0)
        r = creator_decode(&regs, &open);
    if (r == 0 && open.how != 0 &&
        read_memory(tid, open.how, &open.flags, sizeof(open.flags)) != sizeof(open.flags))
        r = -EFAULT;
    if (r == 0)
        r = read_path(tid, open.path, path);
    if (r == 0)
        *ret_flags = open.flags;
    return r;
}

static bool is_component(const char *at, size_t n, const char *name)
{
    return n == strlen(name) && memcmp(at, name, n) == 0;
}

/* Is name, in the directory dir_name, what the path leads to? In doubt not. */
static bool is_last(const char *path, const char *dir_name, const char *name)
{
    const char *end = path + strlen(path), *last = end, *p = path, *before = NULL;
    size_t before_len = 0;

    while (last > path && last[-1] != '/')
        last--;
    if (!is_component(last, (size_t)(end - last), name))
        return false; /* a directory on the way, or what a link leads to */
    while (p < last) {
        size_t n = strcspn(p, "/");

        if (is_component(p, n, name))
            return false; /* it may be that directory which is looked up now */
        if (n > 0 && !is_component(p, n, ".")) {
            before = p;
            before_len = n;
        }
        p += n + 1;
    }
    /* Where the path names the directory, it must be this one, not one on the way of a link. */
    return before == NULL || dir_name[0] == '\0' || is_component(before, before_len, "..") ||
           is_component(before, before_len, dir_name);
}

bool creator_makes(const char *path, uint64_t flags, const char *dir_name, const char *name)
{
    if (flags != CREATOR_RENAMES && ((flags & O_CREAT) == 0 || (flags & (O_EXCL | O_TRUNC)) == 0))
        return false; /* an existing file would be opened: the answer matters */
    return is_last(path, dir_name, name);
}

bool creator_reads(const char *path, uint64_t flags, const char *dir_name, const char *name)
{
    if (flags == CREATOR_RENAMES || (flags & O_ACCMODE) != O_RDONLY ||
        (flags & (O_CREAT | O_TRUNC | O_PATH | O_DIRECTORY)) != 0)
        return false;
    return is_last(path, dir_name, name);
}

enum creating creator_asks(struct vfs *v, const struct vfs_ctx *x, const char *dir_name,
                           const char *name)
{
    char path[CREATOR_PATH];
    uint64_t flags;
    int r;

    if (x->pid <= 0)
        return CREATES_UNSEEN;
    r = (v->conf.proc_open != NULL ? v->conf.proc_open : creator_call)(x->pid, path, &flags);
    if (r < 0)
        return r == -EOPNOTSUPP ? CREATES_NOT : CREATES_UNSEEN;
    if (creator_reads(path, flags, dir_name, name))
        return READS_ONLY;
    if (!creator_makes(path, flags, dir_name, name))
        return CREATES_NOT;
    if (flags == CREATOR_RENAMES)
        return CREATES_BY_RENAME;
    return (flags & O_EXCL) != 0 ? CREATES_NEW : CREATES_OVER;
}
