/* Preloaded into a child of the tests: makes calls on files fail as FAULTS says, and writes each call to LOG.
 *
 * FAULTS has entries `call end-of-path errno skip times`, with `;` between them: the call on such a path fails with that
 * errno that many times, after it was let through as often as `skip` says. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int calls[16];

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static void write_log(const char *call, const char *path) {
    const char *log = getenv("LOG"), *slash = strrchr(path, '/');
    char line[PATH_MAX];
    int length = snprintf(line, sizeof line, "%s %s\n", call, slash ? slash + 1 : path);
    int file = log ? syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0) {
        (void)!syscall(SYS_write, file, line, length);
        syscall(SYS_close, file);
    }
}

/* Returns whether this call fails now, and sets errno. */
static int fails(const char *call, const char *path) {
    const char *faults = getenv("FAULTS");
    char name[64], end[256];
    int error, skip, times, used;
    write_log(call, path);
    for (int entry = 0; faults && entry < 16; entry++) {
        if (sscanf(faults, " %63s %255s %d %d %d%n", name, end, &error, &skip, &times, &used) != 5)
            break;
        if (strcmp(call, name) == 0 && ends_with(path, end)) {
            int call_number = __sync_fetch_and_add(&calls[entry], 1);
            if (call_number >= skip && call_number < skip + times) {
                errno = error;
                return 1;
            }
        }
        faults += used;
        if (*faults == ';')
            faults++;
    }
    return 0;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to) {
    return fails("rename", to) ? -1 : NEXT(rename)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return fails("link", from) ? -1 : NEXT(linkat)(from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to) {
    return fails("link", from) ? -1 : NEXT(link)(from, to);
}

int unlink(const char *path) {
    return fails("unlink", path) ? -1 : NEXT(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    return fails("mkdir", path) ? -1 : NEXT(mkdir)(path, mode);
}

static int fails_on(const char *call, int file) {
    char link[64], path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    (void)!readlink(link, path, sizeof path - 1);
    return fails(call, path);
}

int fsync(int file) {
    return fails_on("fsync", file) ? -1 : NEXT(fsync)(file);
}

/* There are many calls of these, which are written to LOG only where one is to fail. */
static int is_named(const char *call) {
    const char *faults = getenv("FAULTS");
    return faults && strstr(faults, call) != NULL;
}

ssize_t read(int file, void *buffer, size_t length) {
    return is_named("read ") && fails_on("read", file) ? -1 : NEXT(read)(file, buffer, length);
}

int statx(int folder, const char *path, int flags, unsigned mask, struct statx *found) {
    /* std asks with no path whether the call exists. */
    if (path && is_named("statx ") && (*path ? fails("statx", path) : fails_on("statx", folder)))
        return -1;
    return NEXT(statx)(folder, path, flags, mask, found);
}

struct dirent64 *readdir64(DIR *folder) {
    return is_named("readdir ") && fails_on("readdir", dirfd(folder)) ? NULL : NEXT(readdir64)(folder);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails("open", path) ? -1 : NEXT(open64)(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails("open", path) ? -1 : NEXT(open)(path, flags, mode);
}
