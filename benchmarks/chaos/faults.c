/* Faults of a file system and of a clock, for the processes that preload this library.
 *
 * A plan lies in a small file that all processes of a trial map and that VOXTILE_CHAOS names. It says which calls on
 * which paths count, and what becomes of the one with a given number; the counters are in the same file, so that "the
 * 40th write" is the 40th of the command and its workers together, and a seed means the same fault again.
 *
 * libfiu and libfaketime do parts of it: the one fails calls of a process at random, whatever their path, and knows no
 * bytes, torn writes or signals; the other moves all clocks at a moment of time and not of the work.
 *
 * Writes through stdio's buffers and through a mapping do not pass here call by call. A mapping for writing counts with
 * its length when it is made; where the disk is full by then, the file below it is cut, and touching it is SIGBUS, as
 * on a real one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define ROOTS 4
#define LENGTH 512

enum { WRITE = 1, SYNC = 2, NAME = 4, CREATE = 8, RESIZE = 16, REMOVE = 32, FOLDER = 64, MAP = 128, READ = 256, CLOSE = 512 };
enum { NOTHING, FAIL, FULL, TORN, KILL, STOP, SHORT, JUMP };
enum { PASS, REFUSE, CUT };

struct plan {
    uint32_t fault, kinds;   /* what happens; which calls count, bits of the first enum */
    uint64_t at, until;      /* number of the first and the last call that it happens to; of bytes where the disk fills */
    int32_t error, victim;   /* errno; who gets the signal: 0 the caller, 1 the command, 2 its group */
    int64_t seconds;         /* by which the clock jumps */
    int32_t command, power;  /* process id of the command; keep a diary of what is not on the disk yet */
    char roots[ROOTS][LENGTH];
    _Atomic uint64_t calls, bytes, fired, every; /* so far: calls that count, bytes written, faults, calls of all kinds */
    _Atomic int64_t offset;  /* seconds that the clock is ahead by now */
    _Atomic int32_t stopped; /* process that stopped itself */
    int32_t pad2;
    _Atomic uint64_t of_kind[10]; /* calls so far, by the bits of the first enum */
};

static struct plan *plan;
static int diary = -1; /* beside the plan: W and S for inodes that are written and put on the disk, in order */

static struct { void *at; unsigned long inode; } mapped[64]; /* of the last mappings for writing */
static _Atomic unsigned mappings;

static void enter(char what, unsigned long inode) {
    char line[32];
    int n = snprintf(line, sizeof line, "%c %lu\n", what, inode);
    if (diary >= 0) syscall(SYS_write, diary, line, n);
}

static void note(char what, int fd) {
    struct stat about;
    if (!fstat(fd, &about)) enter(what, (unsigned long)about.st_ino);
}

void chaos_arm(void) {
    const char *path = getenv("VOXTILE_CHAOS");
    if (plan) { syscall(SYS_munmap, plan, sizeof *plan); plan = NULL; }
    if (!path || !*path) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *found = (void *)syscall(SYS_mmap, NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found == MAP_FAILED) return;
    plan = found;
    if (plan->power) {
        char name[LENGTH];
        snprintf(name, sizeof name, "%s.diary", path);
        int opened = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        diary = fcntl(opened, F_DUPFD_CLOEXEC, 900); /* out of the way of those who count on small numbers */
        syscall(SYS_close, opened);
    }
    if (!plan->command) plan->command = getpid(); /* its workers come later */
}

__attribute__((constructor)) static void begin(void) { chaos_arm(); }

static int below(const char *path) {
    for (int i = 0; i < ROOTS && plan->roots[i][0]; i++) {
        size_t n = strlen(plan->roots[i]);
        if (!strncmp(path, plan->roots[i], n)) return 1; /* also what lies beside a corpus and begins with its name */
    }
    return 0;
}

static int is_ours(int fd) {
    if (!plan || fd < 0) return 0;
    char link[64], target[LENGTH * 2];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, target, sizeof target - 1);
    errno = kept;
    if (n <= 0 || target[0] != '/') return 0;
    target[n] = 0;
    return below(target);
}

static int is_our_path(int folder, const char *path) {
    if (!plan || !path) return 0;
    if (path[0] == '/') return below(path);
    char whole[LENGTH * 4];
    int kept = errno;
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, whole, LENGTH * 2) < 0) { errno = kept; return 0; }
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, whole, LENGTH * 2 - 1);
        errno = kept;
        if (n <= 0) return 0;
        whole[n] = 0;
    }
    size_t n = strlen(whole);
    snprintf(whole + n, sizeof whole - n, "/%s", path);
    return below(whole);
}

static void strike(int signal) {
    if (plan->victim == 2) kill(0, signal);
    else if (plan->victim == 1) kill(plan->command, signal);
    if (plan->victim == 0 || signal == SIGKILL) { /* whoever wrote half of a file ends with the one that is killed */
        if (signal == SIGSTOP) plan->stopped = getpid();
        kill(getpid(), signal);
    }
}

/* What is to become of a call on a path of ours; `size` bytes are to be written, of which a CUT call may still do `*room`. */
static int meet(uint32_t kind, size_t size, size_t *room) {
    int writes = kind & (WRITE | MAP);
    plan->every++;
    plan->of_kind[__builtin_ctz(kind)]++;
    uint64_t before = writes ? atomic_fetch_add(&plan->bytes, size) : plan->bytes;
    if (!(plan->kinds & kind)) return PASS;
    uint64_t number = ++plan->calls;
    if (plan->fault == FULL) {
        if (!writes || before + size <= plan->at) return PASS;
        plan->fired++;
        *room = before < plan->at ? plan->at - before : 0;
        errno = plan->error;
        return *room && kind == WRITE ? CUT : REFUSE;
    }
    if (plan->fault == NOTHING || number < plan->at || number > plan->until) return PASS;
    plan->fired++;
    switch (plan->fault) {
    case FAIL: errno = plan->error; return REFUSE;
    case TORN: *room = size / 2; return CUT;
    case SHORT: *room = (size + 1) / 2; return kind == WRITE ? CUT : PASS;
    case KILL: strike(SIGKILL); return PASS;
    case STOP: strike(SIGSTOP); return PASS;
    case JUMP: plan->offset += plan->seconds; return PASS;
    }
    return PASS;
}

static void after_cut(void) { if (plan->fault == TORN) strike(SIGKILL); }

#define MET(mine, kind) ((mine) && meet((kind), 0, &(size_t){0}) == REFUSE)

/* ---- writing and reading ---- */

ssize_t write(int fd, const void *data, size_t size) {
    size_t room = size;
    int met = is_ours(fd) ? meet(WRITE, size, &room) : PASS;
    if (met == REFUSE) return -1;
    ssize_t done = syscall(SYS_write, fd, data, met == CUT ? room : size);
    if (diary >= 0 && is_ours(fd)) note('W', fd);
    if (met == CUT) after_cut();
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    size_t room = size;
    int met = is_ours(fd) ? meet(WRITE, size, &room) : PASS;
    if (met == REFUSE) return -1;
    ssize_t done = syscall(SYS_pwrite64, fd, data, met == CUT ? room : size, offset);
    if (diary >= 0 && is_ours(fd)) note('W', fd);
    if (met == CUT) after_cut();
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_ours(fd)) return syscall(SYS_writev, fd, parts, count);
    size_t size = 0, room;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    int met = meet(WRITE, size, &room);
    if (met == REFUSE) return -1;
    if (diary >= 0) note('W', fd);
    if (met == PASS) return syscall(SYS_writev, fd, parts, count);
    size_t first = room < parts[0].iov_len ? room : parts[0].iov_len; /* a short write, as writev may always do */
    ssize_t done = syscall(SYS_write, fd, parts[0].iov_base, first);
    after_cut();
    return done;
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) {
    size_t room = size;
    int met = is_ours(to) ? meet(WRITE, size < (1 << 20) ? size : 1 << 20, &room) : PASS;
    if (met == REFUSE) return -1;
    if (diary >= 0 && is_ours(to)) note('W', to);
    ssize_t done = syscall(SYS_sendfile, to, from, offset, met == CUT ? room : size);
    if (met == CUT) after_cut();
    return done;
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size) { return sendfile64(to, from, offset, size); }

ssize_t copy_file_range(int from, off64_t *in, int to, off64_t *out, size_t size, unsigned flags) {
    size_t room = size;
    int met = is_ours(to) ? meet(WRITE, size < (1 << 20) ? size : 1 << 20, &room) : PASS;
    if (met == REFUSE) return -1;
    if (diary >= 0 && is_ours(to)) note('W', to);
    ssize_t done = syscall(SYS_copy_file_range, from, in, to, out, met == CUT ? room : size, flags);
    if (met == CUT) after_cut();
    return done;
}

ssize_t read(int fd, void *data, size_t size) {
    return MET(is_ours(fd), READ) ? -1 : syscall(SYS_read, fd, data, size);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    return MET(is_ours(fd), READ) ? -1 : syscall(SYS_pread64, fd, data, size, offset);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset) { return pread64(fd, data, size, offset); }

/* ---- files and their names ---- */

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int creates = (flags & O_CREAT) != 0;
    if (MET(creates && is_our_path(folder, path), CREATE)) return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE(flags) ({ mode_t m = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list a; va_start(a, flags); m = va_arg(a, int); va_end(a); } m; })

int open(const char *path, int flags, ...) { mode_t mode = MODE(flags); return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { mode_t mode = MODE(flags); return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { mode_t mode = MODE(flags); return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { mode_t mode = MODE(flags); return opened(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    if (plan && is_ours(fd)) {
        int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);
        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) {
            if (plan->offset) { /* the times of files are the system's, whose clock is ours */
                struct timespec now[2];
                clock_gettime(CLOCK_REALTIME, &now[0]);
                now[1] = now[0];
                syscall(SYS_utimensat, fd, NULL, now, 0);
            }
            if (MET(1, CLOSE)) { int kept = errno; syscall(SYS_close, fd); errno = kept; return -1; }
        }
    }
    return (int)syscall(SYS_close, fd);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    if (MET(is_our_path(to, new), NAME)) return -1;
    return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}
int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    if (MET(is_our_path(to, new), NAME)) return -1;
    return (int)syscall(SYS_linkat, from, old, to, new, flags);
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int symlinkat(const char *target, int folder, const char *path) {
    if (MET(is_our_path(folder, path), NAME)) return -1;
    return (int)syscall(SYS_symlinkat, target, folder, path);
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int folder, const char *path, int flags) {
    if (MET(is_our_path(folder, path), REMOVE)) return -1;
    return (int)syscall(SYS_unlinkat, folder, path, flags);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *path, mode_t mode) {
    if (MET(is_our_path(folder, path), FOLDER)) return -1;
    return (int)syscall(SYS_mkdirat, folder, path, mode);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

static int synced(int fd, long call) {
    int ours = is_ours(fd);
    if (MET(ours, SYNC)) return -1;
    if (diary >= 0 && ours) { /* the trials' own disk need not be waited for */
        note('S', fd);
        return 0;
    }
    return (int)syscall(call, fd);
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int msync(void *at, size_t size, int flags) {
    for (int i = 0; i < 64 && diary >= 0; i++)
        if (mapped[i].at == at) enter('S', mapped[i].inode);
    return (int)syscall(SYS_msync, at, size, flags);
}

int ftruncate64(int fd, off64_t size) { return MET(is_ours(fd), RESIZE) ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    static int (*next)(int, off64_t, off64_t);
    if (!next) next = (int (*)(int, off64_t, off64_t))dlsym(RTLD_NEXT, "posix_fallocate64");
    size_t room = (size_t)size;
    int kept = errno;
    if (is_ours(fd) && meet(plan->fault == FULL ? MAP : RESIZE, (size_t)size, &room) == REFUSE) {
        int refused = errno;
        errno = kept;
        return refused;
    }
    return next(fd, offset, size);
}
int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }

void *mmap64(void *at, size_t size, int access, int flags, int fd, off64_t offset) {
    if (fd >= 0 && (access & PROT_WRITE) && (flags & MAP_SHARED) && is_ours(fd)) {
        struct stat about;
        size_t new = fstat(fd, &about) ? size : (size_t)(about.st_size - 512 * about.st_blocks); /* what is not there yet */
        size_t room = 0;
        if (meet(MAP, (ssize_t)new > 0 ? new : 0, &room) == REFUSE) {
            if (plan->fault != FULL) return MAP_FAILED;
            void *empty = (void *)syscall(SYS_mmap, at, size, access, flags, fd, offset);
            syscall(SYS_ftruncate, fd, 0);
            return empty;
        }
        if (diary >= 0) {
            void *made = (void *)syscall(SYS_mmap, at, size, access, flags, fd, offset);
            unsigned place = mappings++ % 64;
            mapped[place].at = made;
            mapped[place].inode = (unsigned long)about.st_ino;
            enter('W', mapped[place].inode);
            return made;
        }
    }
    return (void *)syscall(SYS_mmap, at, size, access, flags, fd, offset);
}
void *mmap(void *at, size_t size, int access, int flags, int fd, off_t offset) { return mmap64(at, size, access, flags, fd, offset); }

/* ---- the clock of the day; the one that only goes on stays ---- */

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = next(which, now);
    if (!status && plan && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += plan->offset;
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec found;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (kept) *kept = found.tv_sec;
    return found.tv_sec;
}
