#pragma once
// #include "layers/not_read.hpp"
/*
#include "layers/not_read.hpp"
*/
