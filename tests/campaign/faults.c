/* Counts chosen calls of the C library on paths below a folder, and at the N-th lets something happen.
 *
 * Built by preload.py and loaded with LD_PRELOAD. It does nothing until a process calls `fault_arm`. A call counts when
 * its kind is in `mask` and its path is relative, or lies below `prefix`, or its descriptor was opened so. Out of reach
 * are writes through mmap, what glibc does inside (fwrite of a FILE), and programs that make system calls themselves.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPENR, OPENW, READ, WRITE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, TRUNCATE, CLOSE };
static const char *NAMES[] = {"openr", "openw", "read", "write", "sync", "rename",
                              "unlink", "mkdir", "rmdir", "truncate", "close"};
enum { NOTHING, KILL, FAIL, SHORT, RAISE };

#define DESCRIPTORS 65536
static int mask, action, value, lasting, log_fd = -1;
static long wanted, counted;
static char prefix[4096];
static unsigned char tracked[DESCRIPTORS];

void fault_arm(int mask_, long number, int action_, int value_, int lasting_, const char *prefix_, int log_fd_) {
    memset(tracked, 0, sizeof tracked);
    strncpy(prefix, prefix_, sizeof prefix - 1);
    wanted = number, action = action_, value = value_, lasting = lasting_, log_fd = log_fd_;
    __atomic_store_n(&counted, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&mask, mask_, __ATOMIC_SEQ_CST);
}

long fault_count(void) { return __atomic_load_n(&counted, __ATOMIC_SEQ_CST); }

static int is_below(int folder, const char *path) {
    if (path == NULL) return 0;
    if (path[0] == '/') {
        size_t length = strlen(prefix);
        return strncmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == 0);
    }
    return folder == AT_FDCWD || (folder >= 0 && folder < DESCRIPTORS && tracked[folder]);
}

static int is_tracked(int fd) { return fd >= 0 && fd < DESCRIPTORS && tracked[fd]; }

/* → 0: go on, 1: make it short, -1: fail with errno */
static int hit(int kind, int fd, const char *path) {
    if (!(mask >> kind & 1)) return 0;
    long number = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    if (log_fd >= 0) {
        char line[4600], from[64], target[4200] = "";
        if (path == NULL) {
            snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
            ssize_t length = readlink(from, target, sizeof target - 1);
            target[length > 0 ? length : 0] = 0;
            path = target;
        }
        int length = snprintf(line, sizeof line, "%s %s\n", NAMES[kind], path);
        syscall(SYS_write, log_fd, line, length);
    }
    if (action == NOTHING || (lasting ? number < wanted : number != wanted)) return 0;
    if (action == KILL) kill(getpid(), SIGKILL);
    if (action == RAISE) kill(getpid(), value);
    if (action == SHORT) return 1;
    if (action == FAIL) {
        errno = value;
        return -1;
    }
    return 0;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int is_for_writing(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC); }

static int track(int fd) {
    if (fd >= 0 && fd < DESCRIPTORS) tracked[fd] = 1;
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
        va_end(rest); \
        if (!mask || !is_below(AT_FDCWD, path)) return real(path, flags, mode); \
        if (hit(is_for_writing(flags) ? OPENW : OPENR, -1, path) < 0) return -1; \
        return track(real(path, flags, mode)); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
        va_end(rest); \
        if (!mask || !is_below(folder, path)) return real(folder, path, flags, mode); \
        if (hit(is_for_writing(flags) ? OPENW : OPENR, -1, path) < 0) return -1; \
        return track(real(folder, path, flags, mode)); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        if (!mask || !is_below(AT_FDCWD, path)) return real(path, mode); \
        if (hit(strpbrk(mode, "wa+") ? OPENW : OPENR, -1, path) < 0) return NULL; \
        FILE *file = real(path, mode); \
        if (file) track(fileno(file)); \
        return file; \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* Calls that move bytes: a short one moves half of them, but at least one. */
#define MOVE(name, kind, parameters, short_call, call) \
    ssize_t name parameters { \
        REAL(name); \
        int found = mask && is_tracked(fd) ? hit(kind, fd, NULL) : 0; \
        if (found < 0) return -1; \
        return found && count > 1 ? short_call : call; \
    }
MOVE(read, READ, (int fd, void *bytes, size_t count), real(fd, bytes, count / 2), real(fd, bytes, count))
MOVE(pread, READ, (int fd, void *bytes, size_t count, off_t at), real(fd, bytes, count / 2, at), real(fd, bytes, count, at))
MOVE(pread64, READ, (int fd, void *bytes, size_t count, off64_t at), real(fd, bytes, count / 2, at), real(fd, bytes, count, at))
MOVE(write, WRITE, (int fd, const void *bytes, size_t count), real(fd, bytes, count / 2), real(fd, bytes, count))
MOVE(pwrite, WRITE, (int fd, const void *bytes, size_t count, off_t at), real(fd, bytes, count / 2, at), real(fd, bytes, count, at))
MOVE(pwrite64, WRITE, (int fd, const void *bytes, size_t count, off64_t at), real(fd, bytes, count / 2, at), real(fd, bytes, count, at))
MOVE(writev, WRITE, (int fd, const struct iovec *parts, int count), real(fd, parts, count / 2), real(fd, parts, count))
MOVE(sendfile, WRITE, (int fd, int source, off_t *at, size_t count), real(fd, source, at, count / 2), real(fd, source, at, count))
MOVE(sendfile64, WRITE, (int fd, int source, off64_t *at, size_t count), real(fd, source, at, count / 2), real(fd, source, at, count))

ssize_t copy_file_range(int source, off64_t *from, int fd, off64_t *at, size_t count, unsigned flags) {
    REAL(copy_file_range);
    int found = mask && is_tracked(fd) ? hit(WRITE, fd, NULL) : 0;
    return found < 0 ? -1 : real(source, from, fd, at, found && count > 1 ? count / 2 : count, flags);
}

#define ON_FD(name, kind, parameters, call) \
    int name parameters { \
        REAL(name); \
        if (mask && is_tracked(fd) && hit(kind, fd, NULL) < 0) return -1; \
        return call; \
    }
ON_FD(fsync, SYNC, (int fd), real(fd))
ON_FD(fdatasync, SYNC, (int fd), real(fd))
ON_FD(ftruncate, TRUNCATE, (int fd, off_t size), real(fd, size))
ON_FD(ftruncate64, TRUNCATE, (int fd, off64_t size), real(fd, size))
ON_FD(posix_fallocate, TRUNCATE, (int fd, off_t at, off_t size), real(fd, at, size))

int close(int fd) { /* a close that fails has closed, as on Linux */
    REAL(close);
    if (!mask || !is_tracked(fd)) return real(fd);
    int found = hit(CLOSE, fd, NULL), error = errno;
    tracked[fd] = 0;
    int done = real(fd);
    if (found < 0) errno = error;
    return found < 0 ? -1 : done;
}

#define ON_PATH(name, kind, parameters, folder, call) \
    int name parameters { \
        REAL(name); \
        if (mask && is_below(folder, path) && hit(kind, -1, path) < 0) return -1; \
        return call; \
    }
ON_PATH(unlink, UNLINK, (const char *path), AT_FDCWD, real(path))
ON_PATH(unlinkat, flags & AT_REMOVEDIR ? RMDIR : UNLINK, (int folder, const char *path, int flags), folder, real(folder, path, flags))
ON_PATH(remove, UNLINK, (const char *path), AT_FDCWD, real(path))
ON_PATH(mkdir, MKDIR, (const char *path, mode_t mode), AT_FDCWD, real(path, mode))
ON_PATH(mkdirat, MKDIR, (int folder, const char *path, mode_t mode), folder, real(folder, path, mode))
ON_PATH(rmdir, RMDIR, (const char *path), AT_FDCWD, real(path))
ON_PATH(rename, RENAME, (const char *path, const char *to), AT_FDCWD, real(path, to))
ON_PATH(renameat, RENAME, (int folder, const char *path, int target, const char *to), folder, real(folder, path, target, to))
ON_PATH(link, RENAME, (const char *path, const char *to), AT_FDCWD, real(path, to))
ON_PATH(linkat, RENAME, (int folder, const char *path, int target, const char *to, int flags), folder, real(folder, path, target, to, flags))
ON_PATH(symlink, RENAME, (const char *to, const char *path), AT_FDCWD, real(to, path))
ON_PATH(truncate, TRUNCATE, (const char *path, off_t size), AT_FDCWD, real(path, size))
ON_PATH(truncate64, TRUNCATE, (const char *path, off64_t size), AT_FDCWD, real(path, size))
