// SPDX-License-Identifier: Apache-2.0
//
// What if the n-th call fails? Preloaded into a program (LD_PRELOAD), this makes one call fail that changes files, or one
// operator new, for faults_check.py.
//
//   QTK_FAULT=write:N:ERRNO   the N-th call that changes a file fails with this errno
//   QTK_FAULT=short:N         the N-th write takes one byte and no more
//   QTK_FAULT=new:N           the N-th operator new throws std::bad_alloc
//   QTK_FAULT=memory:N        so does every one from the N-th on
//   QTK_FAULT_MARK=FILE       is made when a call failed
//   QTK_FAULT_COUNT=FILE      at the end: how many calls and objects there were
//
// Headers that declare these functions are left out: their exception specifications differ between C libraries.
#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

extern "C" {
void* dlsym(void*, char const*);
char* getenv(char const*);
long syscall(long, ...);
int* __errno_location();
void* malloc(std::size_t);
void free(void*);
int posix_memalign(void**, std::size_t, std::size_t);
}

namespace {

enum class kind { none, fail, cut, once, always };

struct plan {
    kind what = kind::none;
    long at = 0;
    int error = 0;
    char const* mark = nullptr;
};

long number(char const*& text) {
    long value = 0;
    for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
    if (*text == ':') ++text;
    return value;
}

plan read_plan() {
    plan p;
    char const* text = getenv("QTK_FAULT");
    if (text == nullptr) return p;
    p.mark = getenv("QTK_FAULT_MARK");
    char const* const colon = std::strchr(text, ':');
    if (colon == nullptr) return p;
    auto const is = [&](char const* name) {
        auto const size = static_cast<std::size_t>(colon - text);
        return std::strlen(name) == size && std::strncmp(text, name, size) == 0;
    };
    p.what = is("write")    ? kind::fail
             : is("short")  ? kind::cut
             : is("new")    ? kind::once
             : is("memory") ? kind::always
                            : kind::none;
    text = colon + 1;
    p.at = number(text);
    p.error = static_cast<int>(number(text));
    return p;
}

plan const& the_plan() {
    static plan const p = read_plan();
    return p;
}

constexpr long at_cwd = -100, create_and_write = 0101;  // AT_FDCWD, O_WRONLY | O_CREAT
constexpr long open_number = 257, write_number = 1;     // openat(2) and write(2) of x86-64

/// A file that says so: by the kernel itself, for open() is one of those that fail.
void leave_mark() {
    if (the_plan().mark != nullptr)
        syscall(open_number, at_cwd, the_plan().mark, create_and_write, 0600);
}

std::atomic<long> calls{0}, allocations{0};
// Before main() nobody can catch anything: a library's own objects are made there.
std::atomic<bool> is_in_main{false};
using main_function = int(int, char**, char**);
main_function* its_main = nullptr;

int counted_main(int argc, char** argv, char** environment) {
    is_in_main = true;
    return its_main(argc, argv, environment);
}

struct counter {
    ~counter() {
        char const* const to = getenv("QTK_FAULT_COUNT");
        if (to == nullptr) return;
        char text[48];
        std::size_t size = 0;
        for (long value : {calls.load(), allocations.load()}) {
            char digits[20];
            std::size_t n = 0;
            do digits[n++] = static_cast<char>('0' + value % 10);
            while ((value /= 10) > 0);
            while (n > 0) text[size++] = digits[--n];
            text[size++] = ' ';
        }
        long const file = syscall(open_number, at_cwd, to, create_and_write, 0600);
        syscall(write_number, file, text, size);
    }
} const count_at_end;

/// Is this call the one? Sets errno.
bool fails() {
    if (++calls != the_plan().at || the_plan().what != kind::fail) return false;
    leave_mark();
    *__errno_location() = the_plan().error;
    return true;
}
bool is_cut() {
    static std::atomic<long> writes{0};
    if (the_plan().what != kind::cut || ++writes != the_plan().at) return false;
    leave_mark();
    return true;
}
bool has_no_memory() {
    if (!is_in_main) return false;
    kind const what = the_plan().what;
    long const n = ++allocations;
    if ((what != kind::once && what != kind::always) || the_plan().at == 0) return false;
    if (what == kind::once ? n != the_plan().at : n < the_plan().at) return false;
    if (n == the_plan().at) leave_mark();
    return true;
}

template <typename F>
F* next(char const* name) {
    return reinterpret_cast<F*>(dlsym(reinterpret_cast<void*>(-1L), name));  // RTLD_NEXT
}

constexpr int creates = 0100;  // O_CREAT
constexpr int last_standard_stream = 2;

}  // namespace

extern "C" int __libc_start_main(main_function* main, int argc, char** argv, void (*init)(),
                                 void (*fini)(), void (*loader_fini)(), void* stack_end) {
    its_main = main;
    return next<int(main_function*, int, char**, void (*)(), void (*)(), void (*)(), void*)>(
        "__libc_start_main")(counted_main, argc, argv, init, fini, loader_fini, stack_end);
}

#define QTK_FAULT_CALL(name, parameters, arguments, ...)               \
    extern "C" __VA_ARGS__ name parameters {                           \
        static auto* const real = next<__VA_ARGS__ parameters>(#name); \
        if (fails()) return -1;                                        \
        return real arguments;                                         \
    }

using ssize = std::ptrdiff_t;

extern "C" ssize write(int file, void const* bytes, std::size_t size) {
    static auto* const real = next<ssize(int, void const*, std::size_t)>("write");
    if (file <= last_standard_stream) return real(file, bytes, size);
    if (fails()) return -1;
    return real(file, bytes, size > 1 && is_cut() ? 1 : size);
}
extern "C" ssize pwrite(int file, void const* bytes, std::size_t size, long at) {
    static auto* const real = next<ssize(int, void const*, std::size_t, long)>("pwrite");
    if (fails()) return -1;
    return real(file, bytes, size > 1 && is_cut() ? 1 : size, at);
}
extern "C" ssize pwrite64(int file, void const* bytes, std::size_t size, long at) {
    return pwrite(file, bytes, size, at);
}
QTK_FAULT_CALL(writev, (int file, void const* parts, int count), (file, parts, count), ssize)
QTK_FAULT_CALL(ftruncate, (int file, long size), (file, size), int)
QTK_FAULT_CALL(ftruncate64, (int file, long size), (file, size), int)
QTK_FAULT_CALL(fsync, (int file), (file), int)
QTK_FAULT_CALL(rename, (char const* from, char const* to), (from, to), int)
QTK_FAULT_CALL(mkostemp, (char* name, int flags), (name, flags), int)
QTK_FAULT_CALL(mkostemp64, (char* name, int flags), (name, flags), int)
QTK_FAULT_CALL(mkdir, (char const* path, unsigned mode), (path, mode), int)
QTK_FAULT_CALL(fchmod, (int file, unsigned mode), (file, mode), int)
QTK_FAULT_CALL(flock, (int file, int what), (file, what), int)
// Gives its error back instead of setting errno.
extern "C" int posix_fallocate(int file, long from, long size) {
    static auto* const real = next<int(int, long, long)>("posix_fallocate");
    return fails() ? the_plan().error : real(file, from, size);
}
extern "C" int posix_fallocate64(int file, long from, long size) {
    return posix_fallocate(file, from, size);
}
extern "C" int open(char const* path, int flags, ...) {
    std::va_list more;
    va_start(more, flags);
    unsigned const mode = (flags & creates) != 0 ? va_arg(more, unsigned) : 0u;
    va_end(more);
    static auto* const real = next<int(char const*, int, ...)>("open");
    if ((flags & creates) != 0 && fails()) return -1;
    return real(path, flags, mode);
}
extern "C" int open64(char const* path, int flags, ...) {
    std::va_list more;
    va_start(more, flags);
    unsigned const mode = (flags & creates) != 0 ? va_arg(more, unsigned) : 0u;
    va_end(more);
    return open(path, flags, mode);
}

void* operator new(std::size_t size) {
    void* const memory = has_no_memory() ? nullptr : malloc(size > 0 ? size : 1);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    void* memory = nullptr;
    auto const to = static_cast<std::size_t>(alignment);
    if (has_no_memory() ||
        posix_memalign(&memory, to < sizeof memory ? sizeof memory : to, size > 0 ? size : 1) != 0)
        throw std::bad_alloc();
    return memory;
}
void* operator new[](std::size_t size) {
    return operator new(size);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return operator new(size, alignment);
}
void operator delete(void* memory) noexcept {
    free(memory);
}
void operator delete[](void* memory) noexcept {
    free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
    free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
    free(memory);
}
