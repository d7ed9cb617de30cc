#pragma once

#include "CHawserFiles.h"
#include "restore.h"
#include "tuning.h"
#include "interrupts.h"
#include "secrets.h"
