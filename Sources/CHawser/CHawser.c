#include "CHawser.h"
