/*
 * How much a simulation does: all of it in the debug build, a part where a sanitizer makes every
 * step several times as slow.
 */
#ifndef KVT_SIM_SCALE_H
#define KVT_SIM_SCALE_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KVT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KVT_SANITIZED 1
#endif
#endif

#ifdef KVT_SANITIZED
#define KVT_SCALED(n) ((n) / 5)
#else
#define KVT_SCALED(n) (n)
#endif

#endif
