// Boost.Interprocess's message_queue, as its documentation uses it, behind functions that Rust can call.

#include <boost/date_time/posix_time/posix_time_types.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/version.hpp>
#include <cstdint>

using boost::interprocess::message_queue;

static boost::posix_time::ptime in_50_ms() {
    return boost::posix_time::microsec_clock::universal_time() + boost::posix_time::milliseconds(50);
}

extern "C" {

const char *boost_queue_version() { return BOOST_LIB_VERSION; }

void *boost_queue_open(const char *name, std::uint64_t capacity) {
    try {
        return new message_queue(boost::interprocess::open_or_create, name, capacity, sizeof(std::uint64_t));
    } catch (...) {
        return nullptr;
    }
}

int boost_queue_send(void *queue, std::uint64_t message) {
    try {
        return static_cast<message_queue *>(queue)->timed_send(&message, sizeof message, 0, in_50_ms());
    } catch (...) {
        return 0;
    }
}

int boost_queue_receive(void *queue, std::uint64_t *message) {
    try {
        message_queue::size_type size = 0;
        unsigned priority = 0;
        return static_cast<message_queue *>(queue)->timed_receive(message, sizeof *message, size, priority, in_50_ms());
    } catch (...) {
        return 0;
    }
}

void boost_queue_remove(const char *name) { message_queue::remove(name); }
}
