/* config/file.h - the configuration file. One thread. */
#ifndef SF_CONFIG_FILE_H
#define SF_CONFIG_FILE_H

#include "config/loader.h"

/* Reads the file that the loader names and takes or refuses its values. */
void sf_config_read_file(struct sf_config_loader *loader);

#endif
