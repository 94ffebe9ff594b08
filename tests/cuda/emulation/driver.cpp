// Stands in for the CUDA driver, libcuda.so.1: a "GPU" whose memory is a region of the host's, and whose threads run
// one after the other on this CPU, each until it waits for the others of its block.
//
// It knows for every word of memory whether it is allocated and which threads have used it since the launch began. An
// access to other memory, two accesses of which nothing says which comes first, or a wait that not all threads of a
// block come to, end the launch with an error whose text says what happened.
//
// CUDA_EMULATION_ORDER=backward runs blocks and threads from the last to the first.
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, NOT_FOUND = 500, LAUNCH_FAILED = 719 };
constexpr size_t REGION = size_t(8) << 30, GAP = 256, STACK = 64 << 10, MOST_THREADS = 1024, WARP = 32;

struct Size {
  unsigned x, y, z;
};

struct Offer {
  uint64_t numbers[6];
};

struct Word {
  uint32_t write_launch, write_thread, read_launch, read_thread;
  uint16_t write_phase, read_phase;
  uint8_t live, atomic, many_readers, unused;
};

std::mutex mutex;
char* region;
Word* words;
size_t top = GAP;
std::map<uintptr_t, size_t> allocated;
std::map<size_t, std::vector<uintptr_t>> freed;
std::map<long, uintptr_t> shared;  // arrays of the block that is running
uint64_t bytes_in_use;

// What is running.
uint32_t launch_number;
uint32_t phase;  // how often the threads of this block have waited for each other
Size grid, block, at_block, at_thread;
uint32_t thread_in_block, thread_in_grid, block_threads;
const char* kernel_name = "";
std::string trouble;
bool running;
uint64_t launches, uploaded, downloaded;

enum State { GOING, AT_BARRIER, EXCHANGING, FINISHED };
struct Fiber {
  ucontext_t start;
  jmp_buf place;
  char* stack;
  bool started;
  State state;
  unsigned exchanges;  // with the others of its warp, so far
};
std::vector<Fiber> fibers;
Fiber* current;
jmp_buf scheduler;
void (*entry)(void**);
void** entry_arguments;
Offer offered[2][MOST_THREADS];  // what threads give to the others of their warp, by turns

void prepare() {
  if (region) return;
  auto reserve = [](size_t size) {
    void* found = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) abort();
    return found;
  };
  region = static_cast<char*>(reserve(REGION));
  words = static_cast<Word*>(reserve(REGION / 4 * sizeof(Word)));
}

bool in_region(uintptr_t address) { return address - uintptr_t(region) < REGION; }
Word& word_at(uintptr_t address) { return words[(address - uintptr_t(region)) / 4]; }

uintptr_t take(size_t size) {
  prepare();
  size_t whole = (size + GAP - 1) / GAP * GAP + GAP;  // what lies between two allocations belongs to nobody
  uintptr_t address;
  auto& old = freed[whole];
  if (!old.empty()) {
    address = old.back();
    old.pop_back();
  } else {
    if (top + whole > REGION) return 0;
    address = uintptr_t(region) + top;
    top += whole;
  }
  memset(reinterpret_cast<void*>(address), 0xFF, size);  // NaN
  for (size_t k = 0; k < size; k += 4) word_at(address + k) = Word{0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
  allocated[address] = size;
  bytes_in_use += size;
  return address;
}

void give_back(uintptr_t address) {
  auto found = allocated.find(address);
  size_t size = found->second;
  for (size_t k = 0; k < size; k += 4) word_at(address + k).live = 0;
  freed[(size + GAP - 1) / GAP * GAP + GAP].push_back(address);
  allocated.erase(found);
  bytes_in_use -= size;
}

bool all_live(uintptr_t address, size_t size) {
  for (size_t k = 0; k < size; k += 4)
    if (!in_region(address + k) || !word_at(address + k).live) return false;
  return true;
}

[[noreturn]] void stop(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  char where[768];
  snprintf(where, sizeof where, "%s: thread (%u, %u, %u) of block (%u, %u, %u) %s", kernel_name, at_thread.x,
           at_thread.y, at_thread.z, at_block.x, at_block.y, at_block.z, text);
  trouble = where;
  longjmp(scheduler, 2);
}

bool in_this_block(uint32_t thread) { return thread / block_threads == thread_in_grid / block_threads; }

bool comes_before(uint32_t thread, uint16_t its_phase) {
  return thread == thread_in_grid || (in_this_block(thread) && its_phase < uint16_t(phase));
}

// A write where another thread has written, whose value is known only once it is done: the same value does no harm.
struct Doubtful {
  uintptr_t address;
  uint32_t before, thread;
} doubtful;

[[noreturn]] void race(const char* verb, uintptr_t address, const char* other, uint32_t thread) {
  stop("%s %p, which thread %u of block %u %s: nothing says which comes first", verb, (void*)address,
       thread % block_threads, thread / block_threads, other);
}

void settle() {
  if (!doubtful.address) return;
  uintptr_t address = doubtful.address;
  doubtful.address = 0;
  if (memcmp(reinterpret_cast<void*>(address), &doubtful.before, 4)) race("writes", address, "writes", doubtful.thread);
}

void note(uintptr_t address, size_t size, bool write, bool atomic) {
  if (!running) return;
  settle();
  if (!in_region(address)) {
    uintptr_t stack = uintptr_t(current->stack);
    if (address - stack < STACK) return;
    stop("%s %zu bytes at %p, which is no memory of the GPU", write ? "writes" : "reads", size, (void*)address);
  }
  for (uintptr_t end = address + size; address < end; address += 4) {
    Word& word = word_at(address);
    if (!word.live)
      stop("%s %zu bytes at %p, outside of all that is allocated", write ? "writes" : "reads", size, (void*)address);
    if (word.write_launch == launch_number && !(atomic && word.atomic) &&
        !comes_before(word.write_thread, word.write_phase)) {
      if (!write || atomic || word.atomic || size > 4) race(write ? "writes" : "reads", address, "writes", word.write_thread);
      doubtful = {address, *reinterpret_cast<uint32_t*>(address & ~uintptr_t(3)), word.write_thread};
    }
    if (!write) {
      bool first = word.read_launch != launch_number ||
                   (in_this_block(word.read_thread) && word.read_phase < uint16_t(phase) && word.many_readers < 2);
      if (first)
        word.many_readers = 0;
      else if (word.read_thread != thread_in_grid)
        word.many_readers = in_this_block(word.read_thread) && word.many_readers < 2 ? 1 : 2;
      word.read_launch = launch_number, word.read_thread = thread_in_grid, word.read_phase = phase;
      continue;
    }
    if (word.read_launch == launch_number &&
        !(word.many_readers == 0 && comes_before(word.read_thread, word.read_phase)) &&
        !(word.many_readers == 1 && in_this_block(word.read_thread) && word.read_phase < uint16_t(phase)))
      race("writes", address, "reads", word.read_thread);
    word.write_launch = launch_number, word.write_thread = thread_in_grid, word.write_phase = phase;
    word.atomic = atomic;
  }
}

// Let other threads run, and go on when the scheduler says so.
void pause(State state) {
  current->state = state;
  if (!_setjmp(current->place)) _longjmp(scheduler, 1);
}

void run_fiber() {
  for (;;) {
    entry(entry_arguments);
    settle();
    pause(FINISHED);
  }
}

// Run a thread until it waits or is done; false if it went wrong.
bool resume(Fiber& fiber) {
  current = &fiber;
  switch (_setjmp(scheduler)) {
    case 0:
      if (fiber.started) _longjmp(fiber.place, 1);
      fiber.started = true;
      setcontext(&fiber.start);
      abort();
    case 1:
      return true;
    default:
      fiber.started = false;  // what it was doing is lost: it begins anew next time
      doubtful.address = 0;
      return false;
  }
}

void begin(Fiber& fiber) {
  fiber.state = GOING;
  fiber.exchanges = 0;
  if (fiber.started) return;
  if (!fiber.stack) fiber.stack = static_cast<char*>(malloc(STACK));
  getcontext(&fiber.start);
  fiber.start.uc_stack = {fiber.stack, 0, STACK};
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, run_fiber, 0);
}

bool wait_in_vain(unsigned waiting, unsigned threads, const char* of) {
  char text[256];
  snprintf(text, sizeof text, "%s: %u of the %u threads of %sblock (%u, %u, %u) wait for the others, which never come",
           kernel_name, waiting, threads, of, at_block.x, at_block.y, at_block.z);
  trouble = text;
  return false;
}

// Run the threads of a warp until each waits for the block or is done. Those that exchange numbers wait for the warp.
bool run_warp(unsigned first, unsigned threads, bool backward) {
  for (;;) {
    unsigned exchanging = 0;
    for (unsigned k = 0; k < threads; k++) {
      thread_in_block = first + (backward ? threads - 1 - k : k);
      at_thread = {thread_in_block % block.x, thread_in_block / block.x % block.y, thread_in_block / block.x / block.y};
      thread_in_grid = (at_block.x + grid.x * (at_block.y + grid.y * at_block.z)) * block_threads + thread_in_block;
      Fiber& fiber = fibers[thread_in_block];
      if (fiber.state == AT_BARRIER || fiber.state == FINISHED) continue;
      if (!resume(fiber)) return false;
      exchanging += fiber.state == EXCHANGING;
    }
    if (!exchanging) return true;
    if (exchanging != WARP) return wait_in_vain(exchanging, WARP, "a warp of ");
  }
}

bool run_block(bool backward) {
  phase = 0;
  for (unsigned k = 0; k < block_threads; k++) begin(fibers[k]);
  bool fine = true;
  while (fine) {
    for (unsigned k = 0; fine && k < block_threads; k += WARP) {
      unsigned first = backward ? (block_threads - 1 - k) / WARP * WARP : k;
      fine = run_warp(first, std::min<unsigned>(WARP, block_threads - first), backward);
    }
    unsigned waiting = 0;
    for (unsigned k = 0; k < block_threads; k++) {
      waiting += fibers[k].state == AT_BARRIER;
      if (fibers[k].state == AT_BARRIER) fibers[k].state = GOING;
    }
    if (fine && !waiting) return true;
    if (fine && waiting != block_threads) fine = wait_in_vain(waiting, block_threads, "");
    phase++;
  }
  for (unsigned k = 0; k < block_threads; k++) fibers[k].started = false;
  return false;
}

struct Function {
  void (*entry)(void**);
  std::string name;
  unsigned most_threads;
};

}  // namespace

extern "C" {

// For the kernels.
Size emulated_thread() { return at_thread; }
Size emulated_block() { return at_block; }
Size emulated_block_size() { return block; }
Size emulated_grid_size() { return grid; }
void emulated_barrier() {
  settle();
  pause(AT_BARRIER);
}
const Offer* emulated_exchange(const Offer* own, unsigned* lane) {
  settle();
  // Two turns are enough: none begins the next but one before all have taken what this one offers.
  Offer* offers = offered[current->exchanges++ % 2];
  unsigned thread = thread_in_block;
  offers[thread] = *own;
  pause(EXCHANGING);
  *lane = thread % WARP;
  return offers + thread / WARP * WARP;
}
void emulated_atomic(void* place, size_t size) { note(uintptr_t(place), size, true, true); }
void emulated_bad_index(long index, long size) { stop("uses index %ld of a shared array of %ld", index, size); }
void* emulated_shared(long line, size_t size) {
  uintptr_t& address = shared[line];
  if (!address) address = take(size);
  return reinterpret_cast<void*>(address);
}

// What -fsanitize=thread announces.
#define ACCESS(size)                                                                            \
  void __tsan_read##size(void* place) { note(uintptr_t(place), size, false, false); }           \
  void __tsan_write##size(void* place) { note(uintptr_t(place), size, true, false); }           \
  void __tsan_unaligned_read##size(void* place) { note(uintptr_t(place), size, false, false); } \
  void __tsan_unaligned_write##size(void* place) { note(uintptr_t(place), size, true, false); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
void __tsan_read_range(void* place, size_t size) { note(uintptr_t(place), size, false, false); }
void __tsan_write_range(void* place, size_t size) { note(uintptr_t(place), size, true, false); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

// The driver, as far as it is used.
uint64_t emulated_launches() { return launches; }
uint64_t emulated_bytes_uploaded() { return uploaded; }
uint64_t emulated_bytes_downloaded() { return downloaded; }
uint64_t emulated_bytes_in_use() { return bytes_in_use; }
int cuInit(unsigned) {
  prepare();
  return 0;
}
int cuDriverGetVersion(int* version) { return *version = 13000, 0; }
int cuDeviceGetCount(int* count) { return *count = 1, 0; }
int cuDeviceGet(int* device, int number) { return *device = number, 0; }
int cuDeviceGetName(char* name, int size, int) { return snprintf(name, size, "emulated GPU"), 0; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 1 : 0;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int) { return *context = &mutex, 0; }
int cuCtxSetCurrent(void*) { return 0; }
int cuCtxSynchronize() { return 0; }

int cuMemAlloc_v2(uint64_t* address, size_t size) {
  std::lock_guard lock(mutex);
  return (*address = take(size)) ? 0 : OUT_OF_MEMORY;
}
int cuMemFree_v2(uint64_t address) {
  std::lock_guard lock(mutex);
  if (!allocated.count(address)) return INVALID_VALUE;
  give_back(address);
  return 0;
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
  *total = REGION, *free = REGION - top;
  return 0;
}
int cuMemcpyHtoD_v2(uint64_t target, const void* source, size_t size) {
  std::lock_guard lock(mutex);
  if (!all_live(target, size)) return INVALID_VALUE;
  memcpy(reinterpret_cast<void*>(target), source, size);
  uploaded += size;
  return 0;
}
int cuMemcpyDtoH_v2(void* target, uint64_t source, size_t size) {
  std::lock_guard lock(mutex);
  if (!all_live(source, size)) return INVALID_VALUE;
  memcpy(target, reinterpret_cast<void*>(source), size);
  downloaded += size;
  return 0;
}
int cuMemcpyDtoD_v2(uint64_t target, uint64_t source, size_t size) {
  std::lock_guard lock(mutex);
  if (!all_live(source, size) || !all_live(target, size)) return INVALID_VALUE;
  memmove(reinterpret_cast<void*>(target), reinterpret_cast<void*>(source), size);
  return 0;
}
int cuMemsetD32_v2(uint64_t target, unsigned bits, size_t count) {
  std::lock_guard lock(mutex);
  if (!all_live(target, 4 * count)) return INVALID_VALUE;
  for (size_t k = 0; k < count; k++) reinterpret_cast<unsigned*>(target)[k] = bits;
  return 0;
}

// An image is a library for this CPU, in ELF, whose header says where it ends.
int cuModuleLoadData(void** module, const void* image) {
  auto bytes = static_cast<const unsigned char*>(image);
  if (memcmp(bytes, "\x7f" "ELF", 4)) return INVALID_IMAGE;
  uint64_t sections;
  uint16_t width, count;
  memcpy(&sections, bytes + 40, 8), memcpy(&width, bytes + 58, 2), memcpy(&count, bytes + 60, 2);
  int file = memfd_create("kernels", 0);
  size_t size = sections + width * count;
  if (file < 0 || write(file, bytes, size) != ssize_t(size)) return OUT_OF_MEMORY;
  *module = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!*module) fprintf(stderr, "%s\n", dlerror());
  return *module ? 0 : INVALID_IMAGE;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  void* found = dlsym(module, (std::string("emulated_") + name).c_str());
  void* most = dlsym(module, (std::string("threads_of_") + name).c_str());
  if (!found || !most) return NOT_FOUND;
  *function = new Function{reinterpret_cast<void (*)(void**)>(found), name, *static_cast<unsigned*>(most)};
  return 0;
}

int cuLaunchKernel(void* handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                   void*, void** arguments, void**) {
  std::lock_guard lock(mutex);
  auto function = static_cast<Function*>(handle);
  uint64_t threads = uint64_t(bx) * by * bz;
  if (!function || !gx || !gy || !gz || !threads || threads > function->most_threads || threads > MOST_THREADS ||
      gx > 0x7fffffffu || gy > 65535 || gz > 65535)
    return INVALID_VALUE;
  const char* order = getenv("CUDA_EMULATION_ORDER");
  bool backward = order && !strcmp(order, "backward");
  fibers.reserve(MOST_THREADS);
  while (fibers.size() < threads) fibers.push_back(Fiber{});
  launch_number++, launches++;
  kernel_name = function->name.c_str();
  grid = {gx, gy, gz}, block = {bx, by, bz}, block_threads = threads;
  entry = function->entry, entry_arguments = arguments;
  running = true;
  bool fine = true;
  uint64_t blocks = uint64_t(gx) * gy * gz;
  for (uint64_t k = 0; fine && k < blocks; k++) {
    uint64_t number = backward ? blocks - 1 - k : k;
    at_block = {unsigned(number % gx), unsigned(number / gx % gy), unsigned(number / gx / gy)};
    fine = run_block(backward);
    for (auto& [line, address] : shared) give_back(address);
    shared.clear();
  }
  running = false;
  doubtful.address = 0;
  return fine ? 0 : LAUNCH_FAILED;
}

int cuEventCreate(void** event, unsigned) { return *event = new timespec, 0; }
int cuEventRecord(void* event, void*) { return clock_gettime(CLOCK_MONOTONIC, static_cast<timespec*>(event)); }
int cuEventSynchronize(void*) { return 0; }
int cuEventElapsedTime(float* milliseconds, void* from, void* to) {
  auto a = static_cast<timespec*>(from), b = static_cast<timespec*>(to);
  *milliseconds = (b->tv_sec - a->tv_sec) * 1e3f + (b->tv_nsec - a->tv_nsec) * 1e-6f;
  return 0;
}
int cuEventDestroy_v2(void* event) { return delete static_cast<timespec*>(event), 0; }
int cuGetErrorName(int status, const char** text) {
  *text = status == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR";
  return 0;
}
int cuGetErrorString(int status, const char** text) {
  *text = status == LAUNCH_FAILED ? trouble.c_str() : "emulated error";
  return 0;
}
}
